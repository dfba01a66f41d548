import type { Socket } from 'node:net'
import t, { type Test } from 'tap'
import { build, listen } from '../support/app.ts'
import { openLive } from '../support/live-client.ts'
import { readMetric } from '../support/metrics.ts'
import { createChecklist, createProject } from '../support/projects.ts'
import { openFeed, openRawFeeds, type RawFeed } from '../support/sse-client.ts'
import { until } from '../support/until.ts'
import { createUser } from '../support/users.ts'

t.jobs = 2

const limits = {
  events: 8000,
  // maximum of unsent bytes per client
  unsentBytes: 64 << 10,
  // The service closes a slow client after 30 s. The test waits longer, because the machine may be busy.
  droppedMs: 60_000,
  busyMs: 60_000
}

/** Starts a node with a checklist; `write` adds more data than the kernel buffers for a client that does not read. */
async function setUp(t: Test) {
  const app = await build(t)
  const url = await listen(app)
  const ann = await createUser(app)
  const listId = await createChecklist(ann, await createProject(ann))
  const write = () => app.sql`
    insert into checklist_items (checklist_id, text, position)
    select ${listId}, n || repeat('x', 1900), n
    from generate_series(1, ${limits.events}) as n`
  return { app, url, ann, listId, write }
}

/** Opens streams and sockets that read, and others that stop reading. */
async function openClients(t: Test, { url, ann, listId }: Awaited<ReturnType<typeof setUp>>) {
  const [stream, trickling] = (await openRawFeeds(t, url, ann.headers, [
    undefined,
    undefined
  ])) as RawFeed[]
  const socket = await openLive(t, url, ann.headers)
  await socket.open(listId)
  stream?.socket.pause()
  socket.socket.pause()
  const healthy = await openFeed(t, url, ann.headers)
  const live = await openLive(t, url, ann.headers)
  await live.open(listId)
  return { stream: stream as RawFeed, trickling: trickling as RawFeed, socket, healthy, live }
}

const revsOf = (messages: Awaited<ReturnType<typeof openLive>>['messages']) =>
  messages.flatMap(({ changes = [] }) => changes.map(({ rev }) => rev))
const all = Array.from({ length: limits.events }, (_, n) => n + 2)

t.test('a client that stops reading buffers few bytes and catches up', async t => {
  const setup = await setUp(t)
  const { app } = setup
  const { stream, socket, healthy, live } = await openClients(t, setup)
  await setup.write()
  const received = () => healthy.events.filter(({ event }) => event === 'item.added').length
  await until(() => received() === limits.events, limits.busyMs)
  await until(() => revsOf(live.messages).length === limits.events, limits.busyMs)
  await until(async () => (await readMetric(app, 'concord_stream_buffered_bytes')) > 0)
  t.ok((await readMetric(app, 'concord_stream_buffered_bytes')) < 2 * 2 * limits.unsentBytes)
  t.ok((await readMetric(app, 'concord_socket_buffered_bytes')) < 2 * limits.unsentBytes)

  stream.socket.resume()
  socket.socket.resume()
  await until(() => stream.ids.length === limits.events, limits.busyMs)
  t.equal(new Set(stream.ids).size, limits.events, 'every event was received once')
  await until(() => revsOf(socket.messages).length >= limits.events, limits.busyMs)
  t.strictSame(revsOf(socket.messages), all, 'every change was received once, in order')
})

t.test('a client that lags for 30 s is closed and resumes completely', async t => {
  const setup = await setUp(t)
  const { app, url, ann, listId } = setup
  const { stream, trickling, socket } = await openClients(t, setup)
  trickle(t, trickling.socket)
  await setup.write()
  await until(
    async () => (await readMetric(app, 'concord_slow_clients_total{kind="stream"}')) === 2,
    limits.droppedMs
  )
  await until(
    async () => (await readMetric(app, 'concord_slow_clients_total{kind="socket"}')) === 1,
    limits.droppedMs
  )
  t.equal(await readMetric(app, 'concord_streams{state="lagging"}'), 0)
  for (const { socket } of [stream, trickling]) socket.resume()
  await until(() => stream.isClosed && trickling.isClosed)
  socket.socket.resume()
  t.equal(await socket.closed, 4408)

  for (const { ids, cursor } of [stream, trickling]) {
    const [again] = (await openRawFeeds(t, url, ann.headers, [cursor])) as [RawFeed]
    await until(() => ids.length + again.ids.length >= limits.events, limits.busyMs)
    t.equal(
      new Set([...ids, ...again.ids]).size,
      limits.events,
      'every missed event was received once'
    )
    t.equal(ids.length + again.ids.length, limits.events)
  }
  const again = await openLive(t, url, ann.headers)
  const since = 1 + revsOf(socket.messages).length
  await again.open(listId, { since })
  await until(() => revsOf(again.messages).length === limits.events - (since - 1), limits.busyMs)
  t.strictSame([...revsOf(socket.messages), ...revsOf(again.messages)], all)
})

/** Reads about a kilobyte per second. */
function trickle(t: Test, socket: Socket) {
  socket.pause()
  const timer = setInterval(() => socket.read(100) && socket.pause(), 100)
  t.teardown(() => clearInterval(timer))
}
