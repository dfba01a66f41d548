import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setImmediate as tick } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { WebSocket } from 'ws'
import { withTimeout } from '../../lib/with-timeout.ts'
import { build, listen } from '../support/app.ts'
import { createDatabase } from '../support/database.ts'
import { openLive } from '../support/live-client.ts'
import { readMetric } from '../support/metrics.ts'
import { createChecklist, createProject } from '../support/projects.ts'
import { createRandom, type Random } from '../support/random.ts'
import { frame, handshake, opcode } from '../support/raw-socket.ts'
import { openFeed } from '../support/sse-client.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'
import { createUser, type Session, signIn } from '../support/users.ts'

// A client that disconnects while it opens must free its quota, or its user is locked out.

const count = { aborts: 1000, together: 20, ticks: 60, quota: 200 }
const limits = { receivedMs: 20_000 }
const seed = Number(process.env.SEED ?? 20)

async function setUp(t: Test) {
  const app = await build(t, { RATE_LIMIT: 'on' })
  const url = await listen(app)
  const ann = await createUser(app)
  const projectId = await createProject(ann)
  const lists: string[] = []
  for (const title of ['To buy', 'To do', 'To pack']) {
    lists.push(await createChecklist(ann, projectId, title))
  }
  await app.sql`
    insert into checklist_items (checklist_id, text)
    select ${lists[0] as string}, repeat('x', 1900)
    from generate_series(1, 50)`
  const feed = await openFeed(t, url, ann.headers)
  const { id: cursor } = await feed.next('ready')
  feed.stop()
  await app.sql`insert into checklist_items (checklist_id, text) values (${lists[1] as string}, 'x')`
  const sessions: Session[] = [ann]
  while (sessions.length < 5) sessions.push(await signIn(app, ann))
  return { app, url, ann, projectId, lists, cursor, sessions }
}

type SetUp = Awaited<ReturnType<typeof setUp>>

/** An exchange: the request of a client, the bytes that follow it, and the text in the response that shows success. */
interface Exchange {
  head: string
  rest?: Buffer
  served: string
}

function randomExchange(random: Random, { projectId, lists, cursor, sessions }: SetUp): Exchange {
  const { token, cookie } = random.pick(sessions)
  const credentials = random.pick<Record<string, string>>([
    { authorization: `Bearer ${token}` },
    { cookie }
  ])
  const checklistId = random.pick(lists)
  const message = (value: object) => frame(opcode.text, JSON.stringify(value))
  const open = lists.map(id => message({ type: 'open', checklistId: id }))
  const item = { itemId: randomUUID(), text: 'x', after: null }
  const ops = [{ opId: randomUUID(), kind: 'item.add', ...item }]
  const push = message({ type: 'push', checklistId, ops })
  const here = message({ type: 'presence', checklistId, state: {} })
  const get = (path: string, headers = credentials) => request('GET', path, headers)
  const messages: [Buffer, string][] = [
    [Buffer.alloc(0), 'welcome'],
    [message({ type: 'open', checklistId }), 'snapshot'],
    [message({ type: 'open', checklistId, since: 1 }), 'changes'],
    [Buffer.concat([...open, push, here]), 'ack'],
    [Buffer.concat([...open, ...open, ...open, push, push]), 'ack']
  ]
  const sockets = messages.map(([rest, served]) => ({ head: handshake(credentials), rest, served }))
  return random.pick<Exchange>([
    { head: get('/events'), served: 'event: ready' },
    { head: get(`/events?project=${projectId}`), served: 'event: ready' },
    { head: get('/events', { ...credentials, 'last-event-id': cursor }), served: 'event: item' },
    { head: get('/users/me') + get('/events'), served: 'event: ready' },
    ...sockets,
    { head: get(`/checklists/${checklistId}`), served: 'HTTP' },
    {
      head: request('POST', `/checklists/${checklistId}/ops`, credentials, { ops }),
      served: 'HTTP'
    }
  ])
}

function request(method: string, path: string, headers: object, body?: object): string {
  const json = body && JSON.stringify(body)
  const all = {
    host: 'localhost',
    ...headers,
    ...(json && { 'content-type': 'application/json', 'content-length': json.length })
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${json ?? ''}`
}

/** Sends an exchange up to a random byte, and disconnects a few turns of the event loop later. */
async function abort(random: Random, one: SetUp) {
  const { head, rest = Buffer.alloc(0), served } = randomExchange(random, one)
  const at = random.pick(['request line', 'headers', 'first byte', 'served', 'not reading'])
  const isHalf = random.chance(0.2)
  const ticks = random.upTo(count.ticks)
  const isReset = random.chance(0.5)
  const socket = connect(Number(new URL(one.url).port), '127.0.0.1').on('error', () => {})
  await once(socket, 'connect')
  if (at === 'request line') socket.write(head.slice(0, head.indexOf('\n') + 1))
  else socket.write(Buffer.concat([Buffer.from(head), isHalf ? rest.subarray(0, -3) : rest]))
  if (at === 'first byte') await received(socket, 'HTTP')
  if (at === 'served') await received(socket, isHalf ? 'HTTP' : served)
  for (let n = 0; n < ticks; n++) await tick()
  if (isReset) socket.resetAndDestroy()
  else socket.destroy()
}

/** Resolves when the text or an error has arrived, or the connection has closed. */
async function received(socket: Socket, text: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  let bytes = ''
  socket.once('close', () => resolve())
  socket.on('data', chunk => {
    bytes += chunk.toString('latin1')
    if (bytes.includes(text) || bytes.includes('error')) resolve()
  })
  await withTimeout(promise, limits.receivedMs).catch(cause => {
    throw new Error(`no ${text} in ${bytes.slice(-500)}`, { cause })
  })
}

t.test('1,000 aborted clients leave no stream, socket, topic or used quota', async t => {
  const one = await setUp(t)
  const { app, url, ann } = one
  const random = createRandom(seed)
  t.comment(`SEED=${seed}`)
  const held = async () => ({
    streams: await readMetric(app, 'concord_streams'),
    sockets: await readMetric(app, 'concord_sockets'),
    topics: await readMetric(app, 'concord_subscribed_topics')
  })
  await until(async () => (await readMetric(app, 'concord_streams')) === 0)
  const before = await held()
  for (let n = 0; n < count.aborts; n += count.together) {
    await Promise.all(Array.from({ length: count.together }, () => abort(random, one)))
  }
  await until(async () => {
    const now = await held()
    if (JSON.stringify(now) !== JSON.stringify(before)) throw new Error(JSON.stringify(now))
    return true
  }, 30_000)
  t.strictSame(await held(), before)
  await until(async () => (await app.sql`select from presence`).length === 0)

  const all = Array.from({ length: count.quota })
  const feeds = await Promise.all(all.map(() => openFeed(t, url, ann.headers)))
  t.ok(
    feeds.every(({ response }) => response.status === 200),
    'the whole quota of streams is free'
  )
  await Promise.all(all.map(() => openLive(t, url, ann.headers)))
  t.pass('the whole quota of sockets is free')
})

t.test('a stream is not opened when its client disconnects during the query', async t => {
  const proxy = await tcpProxy(t, await createDatabase(t))
  const app = await build(t, { DATABASE_URL: proxy.url })
  const { port } = new URL(await listen(app))
  const ann = await createUser(app)
  const topics = await readMetric(app, 'concord_subscribed_topics')
  const heads = [
    request('GET', '/events', ann.headers),
    request('GET', '/events', { cookie: ann.cookie }),
    // The second response of a connection has no socket before the first is complete.
    request('GET', '/users/me', ann.headers) + request('GET', '/events', ann.headers)
  ]
  proxy.hold()
  let requests = 0
  app.server.on('request', () => requests++)
  for (const head of heads) {
    const accepted = once(app.server, 'connection') as Promise<[Socket]>
    const client = connect(Number(port), '127.0.0.1').on('error', () => {})
    const [socket] = await accepted
    client.write(head)
    const expected = requests + head.split('HTTP/1.1').length - 1
    await until(() => requests === expected)
    client.resetAndDestroy()
    await until(() => socket.closed)
  }
  proxy.resume()
  t.equal((await fetch(`http://127.0.0.1:${port}/users/me`, { headers: ann.headers })).status, 200)
  const next = await openFeed(t, `http://127.0.0.1:${port}`, ann.headers)
  await next.next('ready')
  t.equal(await readMetric(app, 'concord_streams'), 1, 'only the next stream is open')
  next.stop()
  await until(async () => (await readMetric(app, 'concord_subscribed_topics')) === topics)
})

t.test('a push on a lagging socket is not applied after its session ended', async t => {
  const one = await openLaggingSocket(t)
  const op = { opId: randomUUID(), kind: 'item.add', itemId: randomUUID(), text: 'x', after: null }
  await one.endSessionDuring({ type: 'push', checklistId: one.listId, ops: [op] })
  // Operations of a checklist run in order, so this one runs after any that the socket sent.
  const ops = [{ opId: randomUUID(), kind: 'list.rename', from: 'To buy', to: 'Bought' }]
  const reply = await one.ann.request('POST', `/checklists/${one.listId}/ops`, { ops })
  t.match(reply.json().results, [{ outcome: 'applied', rev: one.rev + 1 }])
})

/** Opens a socket that does not read a snapshot of several megabytes, more than the kernel buffers. */
async function openLaggingSocket(t: Test) {
  const app = await build(t)
  const url = await listen(app)
  const ann = await createUser(app)
  const listId = await createChecklist(ann, await createProject(ann))
  await app.sql`
    insert into checklist_items (checklist_id, text)
    select ${listId}, repeat('😀', 2000)
    from generate_series(1, 999)`
  const { rev } = (await ann.request('GET', `/checklists/${listId}`)).json()
  const client = await openLive(t, url, (await signIn(app, ann)).headers)
  const [served] = app.websocketServer.clients
  client.socket.pause()
  client.send({ type: 'open', checklistId: listId })
  await until(async () => (await readMetric(app, 'concord_sockets{state="lagging"}')) === 1)

  /** Ends the session while `message` waits, then continues reading. */
  async function endSessionDuring(message: object) {
    const arrived = once(served as WebSocket, 'message')
    client.send(message)
    await arrived
    t.equal((await ann.request('DELETE', '/auth/sessions')).statusCode, 204)
    client.socket.resume()
    t.equal(await client.closed, 4403)
  }

  return { ann, listId, rev: rev as number, endSessionDuring }
}
