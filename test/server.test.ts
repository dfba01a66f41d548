import { connect } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { findPostmasterPort } from '../lib/embedded-postgres/postmaster.ts'
import { createDatabase } from './support/database.ts'
import { createDataDir, START_MS, spawnService, waitForStart } from './support/process.ts'
import { until } from './support/until.ts'

t.test('the service prints its addresses, and SIGTERM exits with 0', async t => {
  const service = spawnService(t, { DATA_DIR: await createDataDir(t) })
  const { text, address } = await waitForStart(service)
  t.match(text, `API docs  ${address}/docs\n`)
  t.match(text, /Database {2}PGPASSFILE=pgpass psql -h 127\.0\.0\.1 -p \d+ -U concord concord\n/)
  t.equal((await fetch(`${address}/nowhere`)).status, 404)
  service.child.kill('SIGTERM')
  t.strictSame(await service.exited, [0, null])
  t.equal(service.output.stderr, '')
})

t.test('two SIGINT at the same time drain and exit with 0', async t => {
  const service = spawnService(t, {
    DATABASE_URL: await createDatabase(t),
    JWT_SECRET: 'x'.repeat(32)
  })
  await waitForStart(service)
  service.child.kill('SIGINT')
  setImmediate(() => service.child.kill('SIGINT'))
  t.strictSame(await service.exited, [0, null])
})

t.test('SIGTERM while the embedded database starts exits with 0', async t => {
  const folder = await createDataDir(t)
  const service = spawnService(t, { DATA_DIR: folder })
  await until(() => findPostmasterPort(join(folder, 'postgres')), START_MS)
  service.child.kill('SIGTERM')
  t.strictSame(await service.exited, [0, null])
  t.equal(await findPostmasterPort(join(folder, 'postgres')), undefined)
})

t.test('a second SIGTERM during the shutdown exits at once with 1', async t => {
  const service = spawnService(t, {
    DATABASE_URL: await createDatabase(t),
    JWT_SECRET: 'x'.repeat(32)
  })
  const { port } = await waitForStart(service)
  // A request with an incomplete body keeps the service from finishing its shutdown.
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  t.teardown(() => socket.destroy())
  socket.write(
    'POST /x HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{'
  )
  await until(async () => (await fetch(`http://127.0.0.1:${port}/nowhere`)).status === 404)
  service.child.kill('SIGTERM')
  await until(() =>
    fetch(`http://127.0.0.1:${port}/nowhere`).then(
      () => false,
      () => true
    )
  )
  service.child.kill('SIGTERM')
  const [code] = await service.exited
  t.equal(code, 1)
})

t.test('a failed start prints one sentence and exits with 1', async t => {
  const secret = { JWT_SECRET: 'x'.repeat(32) }
  const cases: [NodeJS.ProcessEnv, RegExp][] = [
    [{ PORT: 'http' }, /^Concord does not start: PORT must be integer .*\n$/],
    [{ DATABASE_URL: 'postgres://127.0.0.1:1/x' }, /^Concord does not start: JWT_SECRET is .*\n$/],
    [
      { DATABASE_URL: 'postgres://127.0.0.1:1/x', ...secret },
      /^Concord does not start: the database cannot be reached, see DATABASE_URL: .*\n$/
    ]
  ]
  for (const [env, sentence] of cases) {
    const service = spawnService(t, env)
    t.strictSame(await service.exited, [1, null])
    t.match(service.output.stderr, sentence)
  }
})

t.test('npm run migrate prints the applied migrations', async t => {
  const env = { DATA_DIR: await createDataDir(t) }
  const first = spawnService(t, env, 'bin/migrate.ts')
  t.strictSame(await first.exited, [0, null])
  t.match(first.output.stdout, /^applied 0001\.do\.tables\.sql\n/)
  const second = spawnService(t, env, 'bin/migrate.ts')
  t.strictSame(await second.exited, [0, null])
  t.equal(second.output.stdout, 'nothing to apply\n')
  const bad = spawnService(t, { ...env, PORT: '-1' }, 'bin/migrate.ts')
  t.strictSame(await bad.exited, [1, null])
  t.match(bad.output.stderr, /^Concord does not migrate: PORT must be >= 0 .*\n$/)
})
