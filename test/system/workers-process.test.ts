import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { isAlive } from '../../lib/embedded-postgres/postmaster.ts'
import { JWT_SECRET } from '../support/app.ts'
import { childrenOf } from '../support/children.ts'
import { createDatabase } from '../support/database.ts'
import { openLive } from '../support/live-client.ts'
import { createDataDir, START_MS, spawnService, waitForStart } from '../support/process.ts'
import { openRawFeeds } from '../support/sse-client.ts'
import { times } from '../support/times.ts'
import { until } from '../support/until.ts'
import { startWorkers } from '../support/workers.ts'

t.jobs = 2

t.test('WORKERS=1 starts no further process', async t => {
  const env = { DATABASE_URL: await createDatabase(t), JWT_SECRET, WORKERS: '1' }
  const service = spawnService(t, env)
  await waitForStart(service)
  t.strictSame(await childrenOf(service.child.pid as number), [])
})

t.test('workers use the embedded database of the primary, which SIGTERM stops', async t => {
  const service = spawnService(t, { DATA_DIR: await createDataDir(t), WORKERS: '2' })
  const { address } = await waitForStart(service)
  const { status } = await fetch(`${address}/health/ready`)
  t.equal(status, 200)
  service.child.kill('SIGTERM')
  t.strictSame(await service.exited, [0, null])
  t.equal(service.output.stderr, '')
})

t.test('SIGTERM drains one worker, which is replaced, or the whole node', async t => {
  const { address, ann, listId, service, workers, isReady } = await startWorkers(t)
  const some = await openRawFeeds(t, address, ann.headers, Array(10).fill(undefined))
  const [pid = 0] = await workers()
  process.kill(pid, 'SIGTERM')
  await until(() => !isAlive(pid))
  await until(isReady, START_MS)
  t.equal((await workers()).length, 2)
  const ended = some.filter(({ isClosed }) => isClosed)
  t.ok(ended.length > 0 && ended.length < some.length, `${ended.length} streams`)
  t.ok(ended.every(({ text }) => /^retry: \d+$/m.test(text)))

  const feeds = await openRawFeeds(t, address, ann.headers, Array(200).fill(undefined))
  const sockets = await times(10, () => openLive(t, address, ann.headers))
  for (const socket of sockets) await socket.open(listId)
  const pids = await workers()
  const begin = performance.now()
  // systemd and a terminal send the signal to all processes of the node.
  for (const pid of [...pids, service.child.pid as number]) process.kill(pid, 'SIGTERM')
  t.strictSame(await service.exited, [0, null], service.output.stderr)
  const seconds = (performance.now() - begin) / 1000
  t.ok(seconds < 15, `${seconds.toFixed(1)} s`)
  t.notOk(pids.some(isAlive), 'no worker is left')
  await until(() => feeds.every(({ isClosed }) => isClosed))
  t.ok(
    feeds.every(({ text }) => /^retry: \d+$/m.test(text)),
    'every stream received a time to reconnect'
  )
  for (const { closed } of sockets) t.equal(await closed, 1012)
})

t.test('SIGTERM while the workers start exits with 0', async t => {
  const env = { DATABASE_URL: await createDatabase(t), JWT_SECRET, WORKERS: '2' }
  const service = spawnService(t, env)
  const pid = service.child.pid as number
  await until(async () => (await childrenOf(pid)).length === 2, START_MS)
  service.child.kill('SIGTERM')
  t.strictSame(await service.exited, [0, null], service.output.stderr)
})

t.test('the workers of a killed primary end', async t => {
  const { address, ann, service, workers } = await startWorkers(t)
  const [feed] = await openRawFeeds(t, address, ann.headers, [undefined])
  const pids = await workers()
  service.child.kill('SIGKILL')
  await until(() => !pids.some(isAlive))
  await until(() => feed?.isClosed)
})

t.test('a failed start of the workers prints one sentence and exits with 1', async t => {
  const blocker = createServer().listen(0, '127.0.0.1')
  await once(blocker, 'listening')
  t.teardown(() => blocker.close())
  const { port } = blocker.address() as { port: number }
  const env = { DATABASE_URL: await createDatabase(t), JWT_SECRET, LOG_LEVEL: 'silent' }
  const cases: [NodeJS.ProcessEnv, RegExp][] = [
    [{ WORKERS: '0' }, /^Concord does not start: WORKERS must be auto or a number .*\n$/],
    [
      { WORKERS: '2', PORT: String(port) },
      /^Concord does not start: PORT is taken by another process: .*\n$/
    ],
    [
      {
        WORKERS: '2',
        NODE_OPTIONS: importing("if (cluster.isWorker) process.kill(process.pid, 'SIGKILL')")
      },
      /^Concord does not start: a worker ended 3 times in a row .* with SIGKILL\n$/
    ]
  ]
  for (const [more, sentence] of cases) {
    const service = spawnService(t, { ...env, ...more })
    t.strictSame(await service.exited, [1, null])
    t.match(service.output.stderr, sentence)
  }
})

t.test('a worker that ends at each start ends the node with one sentence', async t => {
  const file = join(t.testdir({}), 'broken')
  const code = `if (cluster.isWorker && existsSync('${file}')) process.exit(7)`
  const { service, workers } = await startWorkers(t, {
    LOG_LEVEL: 'silent',
    NODE_OPTIONS: importing(code)
  })
  await writeFile(file, '')
  const [pid = 0] = await workers()
  process.kill(pid, 'SIGKILL')
  t.strictSame(await service.exited, [1, null])
  t.match(
    service.output.stderr,
    /^Concord ends: a worker ended 9 times in a row before it served clients, the last time with exit code 7\n$/
  )
})

/** Returns the option with which every process of Node first runs this code. */
function importing(code: string): string {
  const imports = "import cluster from 'node:cluster';import { existsSync } from 'node:fs';"
  return `--import=data:text/javascript,${encodeURIComponent(imports + code)}`
}
