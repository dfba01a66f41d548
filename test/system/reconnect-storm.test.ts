import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { build, listen } from '../support/app.ts'
import { type LiveClient, openLive } from '../support/live-client.ts'
import { readMetric } from '../support/metrics.ts'
import { createChecklist, createProject } from '../support/projects.ts'
import { openRawFeeds, type RawFeed } from '../support/sse-client.ts'
import { until } from '../support/until.ts'
import { createUser } from '../support/users.ts'

// All clients reconnect at once: first to a node that has the missed events in memory, then to a node that has not.

const count = { clients: 2000, events: 40 }
const limits = { receivedMs: 30_000 }

/** Starts a node with a checklist; `another` starts one more node on the same database. */
async function setUp(t: Test) {
  const app = await build(t)
  const url = await listen(app)
  const ann = await createUser(app, 'Ann')
  const listId = await createChecklist(ann, await createProject(ann))
  const write = (n: number) =>
    app.sql`insert into checklist_items (checklist_id, text) values (${listId}, ${`item ${n}`})`
  const another = async () => {
    const fresh = await build(t, { DATABASE_URL: app.config.databaseUrl })
    return { app: fresh, url: await listen(fresh) }
  }
  return { app, url, ann, listId, write, another }
}

/** Sends requests of another user one by one. Returns a function that stops the requests and returns their number. */
async function sendRequests(t: Test, { app, url }: { app: FastifyInstance; url: string }) {
  const bob = await createUser(app, 'Bob')
  let isOver = false
  let served = 0
  const sending = send()
  return async () => {
    isOver = true
    await sending
    return served
  }

  async function send() {
    while (!isOver) {
      const reply = await fetch(`${url}/users/me`, { headers: bob.headers })
      await reply.text()
      if (reply.status !== 200) t.fail(`GET /users/me returned ${reply.status}`)
      served++
    }
  }
}

/** Returns the number of catch-ups of a node that queried the log. The metric exists only after the first of them. */
async function catchUpsFromLog(app: FastifyInstance): Promise<number> {
  return (await readMetric(app, 'concord_catch_ups_total{from="log"}')) || 0
}

t.test('2,000 streams resume without blocking other requests', async t => {
  const first = await setUp(t)
  const { app, url, ann, write, another } = first
  const before = await openRawFeeds(t, url, ann.headers, Array(count.clients).fill(undefined))
  for (const { socket } of before) socket.resetAndDestroy()
  for (let n = 0; n < count.events; n++) await write(n)
  const [missed] = await app.sql`select max(pos)::int as pos from events`

  async function storm(name: string, node: { app: FastifyInstance; url: string }) {
    const stop = await sendRequests(t, node)
    const cursors = before.map(({ cursor }) => cursor)
    const feeds = await openRawFeeds(t, node.url, ann.headers, cursors)
    await write(count.events)
    const [end] = await app.sql`select max(pos)::int as pos from events`
    await node.app.pubsub.delivered(end?.pos)
    const total = end?.pos - missed?.pos + count.events
    await until(() => feeds.every(({ ids }) => ids.length >= total), limits.receivedMs)
    const served = await stop()
    t.comment(`${name}: ${served} requests of another user were served meanwhile`)
    t.ok(served > 1, 'requests of another user were served')
    const [{ ids }] = feeds as [RawFeed]
    t.equal(new Set(ids).size, total)
    t.ok(
      feeds.every(one => one.ids.join() === ids.join()),
      'every stream received every event once, in order'
    )
    for (const { socket } of feeds) socket.resetAndDestroy()
  }

  await storm('from memory', first)
  t.equal(await catchUpsFromLog(app), 0, 'no catch-up read the log')
  const fresh = await another()
  await storm('from the log', fresh)
  t.equal(await catchUpsFromLog(fresh.app), 1, 'all streams share one page of the log')
})

t.test('2,000 sockets resume without blocking other requests', async t => {
  const { ann, listId, write, another } = await setUp(t)
  for (let n = 0; n < count.events; n++) await write(n)
  const node = await another()
  const stop = await sendRequests(t, node)
  const clients: LiveClient[] = []
  while (clients.length < count.clients) {
    const some = Array.from({ length: 250 }, () => openLive(t, node.url, ann.headers))
    clients.push(...(await Promise.all(some)))
  }
  for (const { send } of clients) send({ type: 'open', checklistId: listId, since: 1 })
  await write(count.events)
  const revs = Array.from({ length: count.events + 1 }, (_, n) => n + 2)
  const revsOf = ({ messages }: LiveClient) =>
    messages.flatMap(({ changes = [] }) => changes.map(({ rev }) => rev))
  await until(() => clients.every(one => revsOf(one).length >= revs.length), limits.receivedMs)
  const served = await stop()
  t.comment(`${served} requests of another user were served meanwhile`)
  t.ok(served > 1, 'requests of another user were served')
  t.ok(
    clients.every(one => revsOf(one).join() === revs.join()),
    'every stream received every event once, in order'
  )
  t.ok((await catchUpsFromLog(node.app)) <= count.clients, 'at most one statement per client')
})
