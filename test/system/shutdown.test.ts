import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { build, database, listen, person, until } from '../support/app.ts'
import { openLive } from '../support/live-clients.ts'
import { crowd } from '../support/many-clients.ts'
import { type Service, serve, started } from '../support/service.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { caller } from '../support/team.ts'

const count = { streams: 2000, sockets: 40 }

async function endsInTime(t: Test, { child, exited, output }: Service) {
  const begin = performance.now()
  child.kill('SIGTERM')
  const [code] = await exited
  const seconds = (performance.now() - begin) / 1000
  t.equal(code, 0, output.stderr)
  t.ok(seconds < 15, `${seconds.toFixed(1)} s`)
}

t.test(
  'SIGTERM under 2,000 streams and pushes in flight: everybody is let go properly, in time',
  async t => {
    const url = await database(t)
    // Somebody with a list, made by another node that shares the database and the secret.
    const env = { DATABASE_URL: url, JWT_SECRET: 'a-secret-of-the-tests-and-long-enough' }
    const other = await build(t, env)
    const ann = await person(other)
    const ask = caller(other, ann)
    const { id: projectId } = (await ask('POST', '/projects', { name: 'Fair' })).json()
    const made = await ask('POST', `/projects/${projectId}/checklists`, { title: 'To buy' })
    const { id: listId } = made.json()

    const service = serve(t, { ...env, RATE_LIMIT: 'off' })
    const { address } = await started(service)
    const readers = await crowd(t, address, ann.headers, Array(count.streams).fill(undefined))
    readers[0]?.socket.pause() // reads nothing any more, and must not keep the process
    const sockets = await Promise.all(
      Array.from({ length: count.sockets }, () => openLive(t, address, ann.headers))
    )
    await Promise.all(sockets.map(socket => socket.open(listId)))
    const half = request(`${address}/projects`, {
      method: 'POST',
      headers: { ...ann.headers, 'content-length': 9 }
    })
    half.on('error', () => {}).write('{') // never sent whole

    // One after the other on every socket, so that some are under way whenever the signal comes.
    const sent = new Map<string, object>()
    const acknowledged = new Set<string>()
    for (const { socket, send } of sockets) {
      const push = () => {
        if (socket.readyState !== socket.OPEN) return
        const op = {
          opId: randomUUID(),
          kind: 'item.add',
          itemId: randomUUID(),
          text: 'x',
          after: null
        }
        sent.set(op.opId, op)
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

    await endsInTime(t, service)

    const rest = readers.slice(1)
    await until(() => rest.every(({ closed }) => closed))
    t.ok(
      rest.every(({ text }) => text.startsWith('HTTP/1.1 200')),
      'nobody was answered 503'
    )
    const times = rest.map(({ text }) => /^retry: (\d+)$/m.exec(text)?.[1])
    t.ok(
      times.every(value => value !== undefined),
      'every stream has a time to reconnect'
    )
    t.ok(new Set(times).size > 100, 'not all at once')
    const codes = await Promise.all(sockets.map(({ closed }) => closed))
    t.strictSame(new Set(codes), new Set([1012]))

    const sql = postgres(url, { max: 1, onnotice: () => {} })
    t.teardown(() => sql.end())
    const rows = await sql`select op_id as id from operations`
    const committed = new Set(rows.map(({ id }) => id))
    t.ok(
      [...acknowledged].every(id => committed.has(id)),
      'what was acknowledged is there'
    )
    const unsure = [...committed].filter(id => !acknowledged.has(id))
    t.strictSame(unsure, [], 'and what is there was acknowledged')
    const unanswered = [...sent].filter(([id]) => !acknowledged.has(id)).map(([, op]) => op)
    const again = await ask('POST', `/checklists/${listId}/ops`, { ops: unanswered.slice(0, 100) })
    t.ok(
      again.json().results.every(({ outcome }: { outcome: string }) => outcome === 'applied'),
      'the rest is done by another node'
    )
  }
)

t.test('SIGTERM while the database says nothing: whoever waits is answered, in time', async t => {
  const url = await database(t)
  const line = await tcpProxy(t, url)
  const secret = { JWT_SECRET: 'a-secret-of-the-tests-and-long-enough' }
  const ann = await person(await build(t, { DATABASE_URL: url, ...secret }))
  const service = serve(t, { DATABASE_URL: line.url, ...secret })
  const { address } = await started(service)
  const readers = await crowd(t, address, ann.headers, Array(20).fill(undefined))
  const live = await openLive(t, address, ann.headers)
  line.hold()
  // The interim response shows that the service has received the request.
  const headers = { ...ann.headers, expect: '100-continue' }
  const asked = request(`${address}/projects`, { headers }).end()
  const response = once(asked, 'response') as Promise<[IncomingMessage]>
  await once(asked, 'continue')
  await endsInTime(t, service)
  t.equal((await response)[0].statusCode, 503)
  t.equal(await live.closed, 1012)
  t.ok(readers.every(({ text }) => /^retry: \d+$/m.test(text)))
})

t.test('a socket that opens while the service closes is closed with 1012', async t => {
  const line = await tcpProxy(t, await database(t))
  const app = await build(t, { DATABASE_URL: line.url })
  const url = await listen(t, app)
  const ann = await person(app)
  line.hold()
  const upgraded = once(app.server, 'upgrade')
  const opening = openLive(t, url, ann.headers)
  await upgraded
  const closing = app.close()
  await until(() => !app.server.listening)
  line.goOn()
  t.equal(await (await opening).closed, 1012)
  await closing
})
