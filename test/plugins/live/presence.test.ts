import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import type { PresenceConnection } from '../../../plugins/live/presence/room.ts'
import type { Peer } from '../../../schemas/presence.ts'
import { build, listen } from '../../support/app.ts'
import { createDatabase } from '../../support/database.ts'
import { type LiveClient, type Message, openLive } from '../../support/live-client.ts'
import { readMetric } from '../../support/metrics.ts'
import { createChecklist, insertProject } from '../../support/projects.ts'
import { until } from '../../support/until.ts'
import { createUser, type User } from '../../support/users.ts'

const LIST = randomUUID()

/** Creates a checklist in a project whose owners are these users, and returns its id. */
async function createListOf(app: FastifyInstance, owner: User, ...others: User[]): Promise<string> {
  const projectId = await insertProject(app.sql, ...[owner, ...others].map(({ id }) => id))
  return createChecklist(owner, projectId, 'L')
}

/** Returns the peers that the messages contain, and the number of other peers that the last message reports. */
function knownTo(messages: Message[]): { peers: Peer[]; others: number } {
  const known = new Map<string, Peer>()
  const received = messages.filter(({ type }) => type === 'presence')
  for (const peer of received.flatMap(({ peers = [] }) => peers)) {
    if (peer.state === null) known.delete(peer.connectionId)
    else known.set(peer.connectionId, peer)
  }
  return { peers: [...known.values()], others: received.at(-1)?.others ?? 0 }
}

function peersOf({ messages }: LiveClient): Peer[] {
  return knownTo(messages).peers
}

/** Opens a checklist on many sockets, one after the other. */
async function openMany(
  t: Test,
  count: number,
  { url, headers, list }: { url: string; headers: Record<string, string>; list: string }
) {
  const clients: LiveClient[] = []
  while (clients.length < count) {
    const client = await openLive(t, url, headers)
    await client.open(list)
    clients.push(client)
  }
  return clients
}

function idOf({ messages }: LiveClient): string {
  return messages.find(({ type }) => type === 'welcome')?.connectionId ?? ''
}

function hasPeers({ messages }: LiveClient, shown: number, counted: number): boolean {
  const { peers, others } = knownTo(messages)
  return peers.length === shown && others === counted
}

function createConnection(
  connectionId: string,
  parts: Partial<PresenceConnection> = {}
): PresenceConnection {
  return {
    checklistId: LIST,
    connectionId,
    userId: connectionId,
    name: connectionId,
    sender: { send() {}, isFull: false },
    ...parts
  }
}

/** Returns a connection, its sender, and the messages that it has received with their sizes in bytes. */
function createRecorder(connectionId: string, parts: Partial<PresenceConnection> = {}) {
  const messages: Message[] = []
  const bytes: number[] = []
  const sender = {
    isFull: false,
    send(message: Buffer) {
      messages.push(JSON.parse(String(message)))
      bytes.push(message.length)
    }
  }
  const connection = createConnection(connectionId, { sender, ...parts })
  return { messages, bytes, sender, connection }
}

t.test("members of one checklist receive each other's presence, never their own", async t => {
  const app = await build(t)
  const url = await listen(app)
  const [ann, bob] = [await createUser(app, 'Ann'), await createUser(app, 'Bob')]
  const list = await createListOf(app, ann, bob)
  const [a, b] = [await openLive(t, url, ann.headers), await openLive(t, url, bob.headers)]
  await a.open(list)
  await b.open(list)
  t.match(await until(() => peersOf(a)[0]), { userId: bob.id, name: 'Bob', state: {} })
  t.match(await until(() => peersOf(b)[0]), { userId: ann.id, name: 'Ann', state: {} })

  const state = { itemId: randomUUID(), field: 'text', caret: 3, draft: 'Oat milk' }
  a.send({ type: 'presence', checklistId: list, state: { draft: 'O' } })
  a.send({ type: 'presence', checklistId: list, state })
  t.strictSame(await until(() => peersOf(b).find(({ state }) => state?.caret)?.state), state)
  a.send({ type: 'presence', checklistId: list, state: null })
  await until(() => peersOf(b).length === 0)
  a.send({ type: 'presence', checklistId: list, state: {} })
  await until(() => peersOf(b).length === 1)
  b.send({ type: 'close', checklistId: list })
  await until(() => peersOf(a).length === 0)
  t.notOk(a.messages.some(({ peers = [] }) => peers.some(({ userId }) => userId === ann.id)))
  t.equal((await app.sql`select from events where kind like 'presence%'`).length, 0)
})

t.test('100 presence states are sent as few messages; invalid ones return BAD_MESSAGE', async t => {
  const app = await build(t)
  const url = await listen(app)
  const [ann, bob] = [await createUser(app, 'Ann'), await createUser(app, 'Bob')]
  const list = await createListOf(app, ann, bob)
  const [a, b] = [await openLive(t, url, ann.headers), await openLive(t, url, bob.headers)]
  await a.open(list)
  await b.open(list)
  for (let caret = 1; caret <= 100; caret++)
    a.send({ type: 'presence', checklistId: list, state: { caret } })
  await until(() => peersOf(b)[0]?.state?.caret === 100)
  t.ok(b.messages.filter(({ type }) => type === 'presence').length < 20)
  a.send({ type: 'presence', checklistId: list, state: { caret: -1 } })
  t.match(await a.next('error'), { code: 'BAD_MESSAGE' })
  a.send({ type: 'presence', checklistId: list, state: { draft: 'x'.repeat(2001) } })
  t.match(await a.next('error'), { code: 'BAD_MESSAGE' })
})

t.test('a full socket receives only the newest presence after it drains', async t => {
  const app = await build(t)
  const slow = createRecorder('Slow')
  const ann = createRecorder('Ann')
  const eve = createConnection('Eve')
  app.presence.join(ann.connection)
  const leave = app.presence.join(eve)
  app.presence.join(slow.connection)
  await until(() => knownTo(slow.messages).peers.length === 2)
  slow.messages.length = 0
  slow.sender.isFull = true
  app.presence.set(ann.connection, { caret: 1 })
  for (let caret = 1; caret <= 3; caret++) {
    app.presence.set(eve, { caret })
    await until(() => knownTo(ann.messages).peers.some(({ state }) => state?.caret === caret))
  }
  leave()
  await until(() => knownTo(ann.messages).peers.length === 1)
  t.strictSame(slow.messages, [])
  slow.sender.isFull = false
  await until(() => slow.messages.length > 0)
  t.strictSame(
    slow.messages[0]?.peers?.map(({ name, state }) => ({ name, state })),
    [
      { name: 'Eve', state: null },
      { name: 'Ann', state: { caret: 1 } }
    ]
  )
})

t.test('an unchanged presence state is not sent again', async t => {
  const app = await build(t)
  const [ann, bob] = [createRecorder('Ann'), createRecorder('Bob')]
  app.presence.join(ann.connection)
  app.presence.join(bob.connection)
  app.presence.set(ann.connection, { caret: 1 })
  await until(() => knownTo(bob.messages).peers[0]?.state?.caret === 1)
  app.presence.set(ann.connection, { caret: 1 })
  const eve = createRecorder('Eve')
  app.presence.join(eve.connection)
  await until(() => knownTo(bob.messages).peers.length === 2)
  t.strictSame(
    bob.messages.at(-1)?.peers?.map(({ name }) => name),
    ['Eve']
  )
})

t.test('a checklist with 150 sockets shows 100 peers and counts 50', async t => {
  const app = await build(t)
  const url = await listen(app)
  const ann = await createUser(app, 'Ann')
  const list = await createListOf(app, ann)
  const clients = await openMany(t, 150, { url, headers: ann.headers, list })
  const [first, last] = [clients[0], clients[149]] as [LiveClient, LiveClient]
  const isSettled = () =>
    clients.every((client, n) => (n < 100 ? hasPeers(client, 99, 50) : hasPeers(client, 100, 49)))
  await until(isSettled)
  const shown = new Set(clients.slice(0, 100).map(idOf))
  for (const client of [first, last]) {
    const ids = peersOf(client).map(({ connectionId }) => connectionId)
    t.strictSame(new Set(ids), new Set([...shown].filter(id => id !== idOf(client))))
  }

  // The states of shown peers are sent, those of counted peers are not.
  last.send({ type: 'presence', checklistId: list, state: { draft: 'hidden' } })
  last.send({ type: 'ping' })
  await last.next('pong')
  clients[1]?.send({ type: 'presence', checklistId: list, state: { draft: 'shown' } })
  await until(() => peersOf(first).some(({ state }) => state?.draft === 'shown'))
  t.notMatch(JSON.stringify(first.messages), 'hidden')

  // When a shown peer leaves, the next one is shown with its current state.
  for (const client of clients.slice(100, 149)) client.send({ type: 'close', checklistId: list })
  await until(() => hasPeers(first, 99, 1))
  clients[1]?.send({ type: 'close', checklistId: list })
  await until(() => hasPeers(first, 99, 0))
  t.match(
    peersOf(first).find(({ connectionId }) => connectionId === idOf(last)),
    { state: { draft: 'hidden' } }
  )
  await until(() => hasPeers(last, 99, 0))
})

t.test('a checklist with 210 sockets shows the same peers on both nodes', async t => {
  const env = { DATABASE_URL: await createDatabase(t) }
  const [one, two] = [await build(t, env), await build(t, env)]
  const ann = await createUser(one, 'Ann')
  const list = await createListOf(one, ann)
  const options = { headers: ann.headers, list }
  const onFirst = await openMany(t, 80, { url: await listen(one), ...options })
  const onSecond = await openMany(t, 130, { url: await listen(two), ...options })
  const all = [...onFirst, ...onSecond]
  await until(() =>
    all.every((client, n) => (n < 100 ? hasPeers(client, 99, 110) : hasPeers(client, 100, 109)))
  )
  const shown = all.slice(0, 100).map(idOf)
  const ids = peersOf(onSecond[129] as LiveClient).map(({ connectionId }) => connectionId)
  t.strictSame(new Set(ids), new Set(shown))

  // Nodes store their shown peers, the next ones and a count.
  const stored = () => one.sql<{ count: number; peers: string }[]>`
    select count, peers from presence order by count`
  await until(async () => {
    const peers = (await stored()).flatMap(({ peers }) => JSON.parse(peers))
    return peers.length <= 120
  })
  t.strictSame(
    (await stored()).map(({ count }) => count),
    [80, 130]
  )

  // After a node closes, peers of the other node are shown instead.
  await one.close()
  await until(() =>
    onSecond.every((client, n) => (n < 100 ? hasPeers(client, 99, 30) : hasPeers(client, 100, 29)))
  )
})

t.test('presence messages stay below 256 KiB with many long drafts', async t => {
  const app = await build(t)
  const last = createRecorder('last')
  const draft = 'ö'.repeat(2000)
  for (let n = 0; n < 150; n++) {
    const ann = createConnection(`Ann ${n}`)
    app.presence.join(ann)
    app.presence.set(ann, { draft })
  }
  app.presence.join(last.connection)
  await until(() => last.messages.length > 0)
  const { peers, others } = knownTo(last.messages)
  t.equal(peers.length + others, 150)
  t.ok(peers.length > 20)
  t.ok(last.bytes.every(bytes => bytes < 256 << 10))
})

t.test('a push that waits is not applied after its session ended', async t => {
  const app = await build(t)
  const url = await listen(app)
  const [ann, bob] = [await createUser(app, 'Ann'), await createUser(app, 'Bob')]
  const list = await createListOf(app, ann, bob)
  await app.sql`
    insert into checklist_items (checklist_id, text)
    select ${list}, repeat('x', 2000) from generate_series(1, 1000)`
  const a = await openLive(t, url, ann.headers)
  await a.open(list)
  const b = await openLive(t, url, bob.headers)
  b.socket.pause()
  // The snapshots are larger than the kernel's buffers, so a push after them waits until the client reads.
  for (let n = 0; n < 15; n++) {
    const op = { opId: randomUUID(), kind: 'list.rename', from: 'L', to: `L ${n}` }
    b.send({ type: 'open', checklistId: list })
    b.send({ type: 'push', checklistId: list, ops: [op] })
  }
  await until(async () => (await readMetric(app, 'concord_sockets{state="lagging"}')) === 1)
  await app.inject({ method: 'POST', url: '/auth/signout', headers: { cookie: bob.cookie } })
  await until(() => peersOf(a).length === 0)
  const [{ rev, title: from }] = await app.sql<[{ rev: number; title: string }]>`
    select rev, title from checklists join checklist_revs on checklist_id = id where id = ${list}`
  b.socket.resume()
  t.equal(await b.closed, 4403)
  const op = { opId: randomUUID(), kind: 'list.rename', from, to: 'Z' } as const
  t.match(await a.push(list, op), [{ outcome: 'applied' }])
  const late = await app.sql`
    select from events where checklist_id = ${list} and rev > ${rev} and actor_id = ${bob.id}`
  t.equal(late.length, 0)
})

t.test('presence rows that the database lost are stored again', async t => {
  const env = { DATABASE_URL: await createDatabase(t) }
  const [one, two] = [await build(t, env), await build(t, env)]
  const ann = createRecorder('Ann', { connectionId: randomUUID(), userId: randomUUID() })
  const bob = createConnection('Bob', { connectionId: randomUUID(), userId: randomUUID() })
  one.presence.join(ann.connection)
  two.presence.join(bob)
  await until(() => knownTo(ann.messages).peers.length === 1)
  await one.sql`truncate presence` // PostgreSQL also empties this unlogged table after a crash
  await until(() => knownTo(ann.messages).peers.length === 0)
  await until(() => knownTo(ann.messages).peers.length === 1, 20_000)
})

t.test('a socket that opens and closes checklists quickly leaves no presence row', async t => {
  const app = await build(t)
  const url = await listen(app)
  const ann = await createUser(app, 'Ann')
  const list = await createListOf(app, ann)
  const [a] = await openMany(t, 1, { url, headers: ann.headers, list })
  await until(async () => (await app.sql`select from presence`).length === 1)
  for (let n = 0; n < 20; n++) {
    a?.send({ type: 'open', checklistId: list })
    a?.send({ type: 'close', checklistId: list })
  }
  a?.send({ type: 'open', checklistId: list })
  a?.socket.terminate()
  await until(async () => (await app.sql`select from presence`).length === 0)
})

t.test("members on two nodes see each other's presence until a node closes", async t => {
  const env = { DATABASE_URL: await createDatabase(t) }
  const [one, two] = [await build(t, env), await build(t, env)]
  const [ann, bob] = [await createUser(one, 'Ann'), await createUser(one, 'Bob')]
  const list = await createListOf(one, ann, bob)
  const a = await openLive(t, await listen(one), ann.headers)
  const b = await openLive(t, await listen(two), bob.headers)
  await a.open(list)
  await b.open(list)
  b.send({ type: 'presence', checklistId: list, state: { caret: 5 } })
  t.match(await until(() => peersOf(a).find(({ state }) => state?.caret === 5)), { name: 'Bob' })
  await until(() => peersOf(b).length === 1)
  // Makes the row of Bob's node as old as the row of a killed node.
  await one.sql`update presence set seen_at = now() - interval '1 minute' where peers like ${`%${bob.id}%`}`
  await until(() => peersOf(a).length === 0)
  await one.close()
  await until(() => peersOf(b).length === 0)
})
