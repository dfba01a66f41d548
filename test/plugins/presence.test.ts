import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { Peer } from '../../schemas/presence.ts'
import { type LiveClient, openLive } from '../clients.ts'
import { build, database, listen, person, until } from '../helper.ts'

async function listOf(app: FastifyInstance, ...people: { id: string }[]): Promise<string> {
  const [{ id }] = await app.sql<[{ id: string }]>`
    with project as (insert into projects (name) values ('P') returning id),
    members as (
      insert into project_members (project_id, user_id, role)
      select project.id, unnest(${people.map(({ id }) => id)}::uuid[]), 'owner' from project
    )
    select id from project`
  const [list] = await app.sql<[{ id: string }]>`
    insert into checklists (project_id, title) values (${id}, 'L') returning id`
  return list.id
}

/** What a client knows of the others, as it would show it. */
function peersOf({ messages }: LiveClient): Peer[] {
  const peers = new Map<string, Peer>()
  for (const { peers: told = [] } of messages.filter(({ type }) => type === 'presence')) {
    for (const peer of told) {
      if (peer.state === null) peers.delete(peer.connectionId)
      else peers.set(peer.connectionId, peer)
    }
  }
  return [...peers.values()]
}

t.test(
  'people on one list see each other come, type and go; nobody hears of themselves',
  async t => {
    const app = await build(t)
    const url = await listen(t, app)
    const [ann, bob] = [await person(app, 'Ann'), await person(app, 'Bob')]
    const list = await listOf(app, ann, bob)
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
  }
)

t.test('many keystrokes of a moment are told once, and a bad state is refused', async t => {
  const app = await build(t)
  const url = await listen(t, app)
  const [ann, bob] = [await person(app, 'Ann'), await person(app, 'Bob')]
  const list = await listOf(app, ann, bob)
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

t.test('who is slow is told late, and then only where everybody is', async t => {
  const app = await build(t)
  const heard: Peer[][] = []
  const state = { isFull: true }
  const visitor = (name: string, parts: object = {}) => ({
    checklistId: 'list',
    connectionId: name,
    userId: name,
    name,
    hear() {},
    isFull: () => false,
    ...parts
  })
  const hear = (bytes: Buffer) => heard.push(JSON.parse(String(bytes)).peers)
  const eve = visitor('Eve')
  const others: Peer[][] = []
  app.presence.join(
    visitor('Ann', { hear: (bytes: Buffer) => others.push(JSON.parse(String(bytes)).peers) })
  )
  const leave = app.presence.join(eve)
  app.presence.join(visitor('Slow', { hear, isFull: () => state.isFull }))
  heard.length = 0
  for (let caret = 1; caret <= 3; caret++) {
    app.presence.set(eve, { caret })
    await until(() => others.flat().some(({ state }) => state?.caret === caret))
  }
  leave()
  await until(() => others.flat().some(({ state }) => state === null))
  t.strictSame(heard, [])
  state.isFull = false
  await until(() => heard.length > 0)
  const told = heard[0]?.map(({ name, state }) => ({ name, state }))
  t.strictSame(told, [
    { name: 'Ann', state: {} },
    { name: 'Eve', state: null }
  ])
})

t.test('people on two nodes see each other, until a node is gone', async t => {
  const env = { DATABASE_URL: await database(t) }
  const [one, two] = [await build(t, env), await build(t, env)]
  const [ann, bob] = [await person(one, 'Ann'), await person(one, 'Bob')]
  const list = await listOf(one, ann, bob)
  const a = await openLive(t, await listen(t, one), ann.headers)
  const b = await openLive(t, await listen(t, two), bob.headers)
  await a.open(list)
  await b.open(list)
  b.send({ type: 'presence', checklistId: list, state: { caret: 5 } })
  t.match(await until(() => peersOf(a).find(({ state }) => state?.caret === 5)), { name: 'Bob' })
  await until(() => peersOf(b).length === 1)
  // A killed node tells nobody; its rows go stale.
  await one.sql`update presence set seen_at = now() - interval '1 minute' where user_id = ${bob.id}`
  await until(() => peersOf(a).length === 0)
  await one.close()
  await until(() => peersOf(b).length === 0)
})
