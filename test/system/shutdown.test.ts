import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import t, { type Test } from 'tap'
import { build, JWT_SECRET, listen } from '../support/app.ts'
import { createDatabase, openSql } from '../support/database.ts'
import { openLive } from '../support/live-client.ts'
import { type ServiceProcess, spawnService, waitForStart } from '../support/process.ts'
import { createChecklist, createProject } from '../support/projects.ts'
import { openRawFeeds } from '../support/sse-client.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { times } from '../support/times.ts'
import { until } from '../support/until.ts'
import { createUser } from '../support/users.ts'

const count = { streams: 2000, sockets: 40 }

async function checkExit(t: Test, { child, exited, output }: ServiceProcess) {
  const begin = performance.now()
  child.kill('SIGTERM')
  const [code] = await exited
  const seconds = (performance.now() - begin) / 1000
  t.equal(code, 0, output.stderr)
  t.ok(seconds < 15, `${seconds.toFixed(1)} s`)
}

t.test(
  'SIGTERM under load closes every client and stores every acknowledged operation',
  async t => {
    const url = await createDatabase(t)
    // Another node with the same database and secret creates the user and the checklists: one for each socket, so that
    // none reaches its limit of items.
    const env = { DATABASE_URL: url, JWT_SECRET }
    const other = await build(t, env)
    const ann = await createUser(other)
    const projectId = await createProject(ann)
    const listIds = await times(count.sockets, () => createChecklist(ann, projectId))

    const service = spawnService(t, { ...env, RATE_LIMIT: 'off' })
    const { address } = await waitForStart(service)
    const feeds = await openRawFeeds(t, address, ann.headers, Array(count.streams).fill(undefined))
    feeds[0]?.socket.pause() // a client that does not read must not delay the exit
    const sockets = await Promise.all(
      Array.from({ length: count.sockets }, () => openLive(t, address, ann.headers))
    )
    await Promise.all(sockets.map((socket, n) => socket.open(listIds[n] as string)))
    const half = request(`${address}/projects`, {
      method: 'POST',
      headers: { ...ann.headers, 'content-length': 9 }
    })
    half.on('error', () => {}).write('{') // never completed

    // Every socket pushes one operation after the other, so that some are in flight at the signal.
    const sent = new Map<string, { listId: string; op: object }>()
    const acknowledged = new Set<string>()
    for (const [n, { socket, send }] of sockets.entries()) {
      const listId = listIds[n] as string
      const push = () => {
        if (socket.readyState !== socket.OPEN) return
        const op = {
          opId: randomUUID(),
          kind: 'item.add',
          itemId: randomUUID(),
          text: 'x',
          after: null
        }
        sent.set(op.opId, { listId, op })
        send({ type: 'push', checklistId: listId, ops: [op] })
      }
      socket.on('message', data => {
        const { type, results = [] } = JSON.parse(String(data))
        for (const { opId } of results) acknowledged.add(opId)
        if (type === 'ack') push()
      })
      push()
    }
    await until(() => acknowledged.size > 2 * count.sockets)

    await checkExit(t, service)

    const rest = feeds.slice(1)
    await until(() => rest.every(({ isClosed }) => isClosed))
    t.ok(
      rest.every(({ text }) => text.startsWith('HTTP/1.1 200')),
      'no stream received 503'
    )
    const retries = rest.map(({ text }) => /^retry: (\d+)$/m.exec(text)?.[1])
    t.ok(
      retries.every(value => value !== undefined),
      'every stream received a time to reconnect'
    )
    t.ok(new Set(retries).size > 100, 'the reconnect times differ')
    const codes = await Promise.all(sockets.map(({ closed }) => closed))
    t.strictSame(new Set(codes), new Set([1012]))

    const sql = openSql(t, url)
    const rows = await sql`select op_id as id from operations`
    const committed = new Set(rows.map(({ id }) => id))
    t.ok(
      [...acknowledged].every(id => committed.has(id)),
      'every acknowledged operation is stored'
    )
    const unsure = [...committed].filter(id => !acknowledged.has(id))
    t.strictSame(unsure, [], 'every stored operation was acknowledged')
    for (const [id, { listId, op }] of sent) {
      if (acknowledged.has(id)) continue
      const again = await ann.request('POST', `/checklists/${listId}/ops`, { ops: [op] })
      t.equal(again.json().results[0].outcome, 'applied', 'another node applies the operation')
    }
  }
)

t.test('SIGTERM with an unresponsive database returns 503 for pending requests', async t => {
  const url = await createDatabase(t)
  const proxy = await tcpProxy(t, url)
  const ann = await createUser(await build(t, { DATABASE_URL: url, JWT_SECRET }))
  const service = spawnService(t, { DATABASE_URL: proxy.url, JWT_SECRET })
  const { address } = await waitForStart(service)
  const feeds = await openRawFeeds(t, address, ann.headers, Array(20).fill(undefined))
  const live = await openLive(t, address, ann.headers)
  proxy.hold()
  // The interim response shows that the service has received the request.
  const headers = { ...ann.headers, expect: '100-continue' }
  const pending = request(`${address}/projects`, { headers }).end()
  const response = once(pending, 'response') as Promise<[IncomingMessage]>
  await once(pending, 'continue')
  await checkExit(t, service)
  t.equal((await response)[0].statusCode, 503)
  t.equal(await live.closed, 1012)
  t.ok(feeds.every(({ text }) => /^retry: \d+$/m.test(text)))
})

t.test('a socket opened during shutdown is closed with 1012', async t => {
  const proxy = await tcpProxy(t, await createDatabase(t))
  const app = await build(t, { DATABASE_URL: proxy.url })
  const url = await listen(app)
  const ann = await createUser(app)
  proxy.hold()
  const upgraded = once(app.server, 'upgrade')
  const opening = openLive(t, url, ann.headers)
  await upgraded
  const closing = app.close()
  await until(() => !app.server.listening)
  proxy.resume()
  t.equal(await (await opening).closed, 1012)
  await closing
})
