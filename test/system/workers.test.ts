import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { deriveKeys } from '../../lib/keys.ts'
import { createOperatorToken } from '../../lib/operator-token.ts'
import type { Connections } from '../../schemas/connections.ts'
import { JWT_SECRET } from '../support/app.ts'
import { openSql } from '../support/database.ts'
import { type LiveClient, openLive } from '../support/live-client.ts'
import { metricIn } from '../support/metrics.ts'
import { START_MS } from '../support/process.ts'
import { openFeed, openRawFeeds } from '../support/sse-client.ts'
import { suspend } from '../support/suspend.ts'
import { times } from '../support/times.ts'
import { until } from '../support/until.ts'
import { getOnce, startWorkers, waitForServers } from '../support/workers.ts'

// The tests share this node, because each start takes seconds.
const node = await startWorkers(t, { LOG_LEVEL: 'info', RATE_LIMIT: 'on' })
const { service, address, ann, session, listId, workers, isReady } = node
const sql = openSql(t, node.databaseUrl)

/** Opens sockets one after the other, so that each worker gets half of them, and the checklist on each. */
async function openSockets(t: Test, headers: Record<string, string>, count: number) {
  const sockets: LiveClient[] = []
  while (sockets.length < count) sockets.push(await openLive(t, address, headers))
  for (const socket of sockets) await socket.open(listId)
  return sockets
}

/** Opens streams on all workers. */
async function openFeeds(t: Test, headers: Record<string, string>, count: number) {
  const feeds = await times(count, () => openFeed(t, address, headers))
  for (const feed of feeds) await feed.next('ready')
  return feeds
}

const insertItem = () =>
  sql`insert into checklist_items (checklist_id, text) values (${listId}, 'from SQL')`

/** Returns the ids of the peers that a socket shows. */
function peersOf({ messages }: LiveClient): string[] {
  const peers = new Set<string>()
  for (const { connectionId = '', state } of messages.flatMap(({ peers = [] }) => peers)) {
    if (state === null) peers.delete(connectionId)
    else peers.add(connectionId)
  }
  return [...peers]
}

const addItem = (text: string) => ({
  opId: randomUUID(),
  kind: 'item.add' as const,
  itemId: randomUUID(),
  text,
  after: null
})

const addItems = (count: number) => Array.from({ length: count }, () => addItem('x'))

async function metric(series: string): Promise<number> {
  return metricIn((await getOnce(`${address}/metrics`)).text, series)
}

t.test('two workers share clients, presence, changes and ends of sessions', async t => {
  const sockets = await openSockets(t, session.headers, 4)
  t.strictSame((await waitForServers(service, 2)).sort(), (await workers()).sort())
  const feeds = await openFeeds(t, session.headers, 4)

  const keys = deriveKeys([JWT_SECRET])
  const operator = { 'x-concord-operator': createOperatorToken(keys, ann.id) }
  const listed = await getOnce(`${address}/operator/connections/${ann.id}`, operator)
  const { processes, missing } = JSON.parse(listed.text) as Connections
  t.strictSame(processes.map(({ pid }) => pid).sort(), (await workers()).sort())
  t.equal(missing, 0)
  t.equal(processes.flatMap(({ streams }) => streams).length, 4)
  t.equal(processes.flatMap(({ sockets }) => sockets).length, 4)

  const connections = await sql<{ name: string; count: number }[]>`
    select application_name as name, count(*)::int
    from pg_stat_activity
    where datname = current_database()
    and application_name in ('concord listen', 'concord tail')
    group by 1
    order by 1`
  t.strictSame(
    connections.map(({ name, count }) => ({ name, count })),
    [
      { name: 'concord listen', count: 1 },
      { name: 'concord tail', count: 1 }
    ],
    'only the primary reads the log'
  )

  for (const socket of sockets) await until(() => peersOf(socket).length === 3)

  await insertItem()
  const [author, ...others] = sockets as [LiveClient, ...LiveClient[]]
  const [result] = await author.push(listId, addItem('from a socket'))
  t.equal(result?.outcome, 'applied')
  const added = author.messages.flatMap(({ changes = [] }) => changes)
  t.equal(added.length, 2, 'the author receives its change before the acknowledgement')
  for (const socket of others) {
    t.equal((await socket.change('item.added')).source, 'sql')
    t.equal((await socket.change('item.added')).source, 'ws')
  }
  for (const feed of feeds) {
    t.match((await feed.next('item.added')).data, { source: 'sql' })
    t.match((await feed.next('item.added')).data, { source: 'ws' })
  }

  const signOut = { method: 'POST', headers: { cookie: session.cookie } }
  t.ok((await fetch(`${address}/auth/signout`, signOut)).ok)
  for (const feed of feeds) await feed.next('session.ended')
  for (const socket of sockets) await socket.closed
  const replies = await times(4, () => getOnce(`${address}/users/me`, session.headers))
  t.strictSame(new Set(replies.map(({ status }) => status)), new Set([401]))
})

t.test('a change of the epoch resets the streams of every worker', async t => {
  const feeds = await openFeeds(t, ann.headers, 4)
  await sql`update log_state set generation = generation + 1`
  for (const feed of feeds) await feed.next('reset')
  await insertItem()
  for (const feed of feeds) await feed.next('item.added')
})

t.test('GET /metrics adds up the workers, and no counter falls when one is killed', async t => {
  await until(async () => (await metric('concord_streams')) === 0)
  await openFeeds(t, ann.headers, 10)
  await until(async () => (await metric('concord_streams{state="live"}')) === 10)
  const delivered = 'concord_commit_to_write_seconds_count'
  const before = await metric(delivered)
  await insertItem()
  await until(async () => (await metric(delivered)) === before + 2)
  t.equal(await metric('concord_listener_up'), 1)
  t.equal(await metric('concord_listener_connects_total'), 1)

  const [pid] = await workers()
  process.kill(pid as number, 'SIGKILL')
  await until(async () => !(await isReady()))
  t.equal(await metric(delivered), before + 2)
  await until(isReady, START_MS)
  t.equal(await metric(delivered), before + 2)
  t.equal(await metric('concord_worker_restarts_total'), 1)
  t.equal((await workers()).length, 2)
  await insertItem()
  await until(async () => (await metric(delivered)) === before + 4)
})

t.test('the limits of a user count on all workers together', async t => {
  const [first, second] = (await openSockets(t, ann.headers, 2)) as [LiveClient, LiveClient]
  await first.push(listId, ...addItems(100))
  // The bucket is empty: 60 operations wait for 3 s, 60 more would wait for longer than 5 s.
  first.send({ type: 'push', checklistId: listId, ops: addItems(60) })
  second.send({ type: 'push', checklistId: listId, ops: addItems(60) })
  const refused = (socket: LiveClient) => socket.messages.some(({ code }) => code === 'TOO_OFTEN')
  await until(() => refused(first) || refused(second))

  const feeds = await openRawFeeds(t, address, ann.headers, Array(200).fill(undefined))
  t.ok(feeds.every(({ text }) => text.startsWith('HTTP/1.1 200')))
  const more = await times(4, () => openFeed(t, address, ann.headers))
  t.strictSame(
    more.map(({ response }) => response.status),
    [429, 429, 429, 429]
  )
  const [pid] = await workers()
  process.kill(pid as number, 'SIGKILL')
  await until(() => feeds.filter(({ isClosed }) => isClosed).length > 50)
  await until(async () => (await openFeed(t, address, ann.headers)).response.status === 200)
  await until(isReady, START_MS)
})

t.test('a frozen worker makes the node unavailable, and is replaced', async t => {
  const before = await workers()
  suspend(t, before[0] as number)
  const replies = times(6, () => getOnce(`${address}/health/live`).catch(() => {}))
  await until(async () => !(await isReady()), 20_000)
  await until(async () => !(await workers()).includes(before[0] as number), 20_000)
  // One connection was on its way to the frozen worker: the primary must close it.
  const statuses = (await replies).map(reply => reply?.status)
  t.ok(statuses.filter(status => status === 200).length >= 5, `${statuses}`)
  await until(isReady, START_MS)
  t.match(service.output.stdout, /worker is frozen: killing it/)
})
