import { once } from 'node:events'
import { EventSource } from 'eventsource'
import t from 'tap'
import { formatCursor } from '../../lib/cursor.ts'
import { build, listen } from '../support/app.ts'
import { createDatabase } from '../support/database.ts'
import { openLive } from '../support/live-client.ts'
import { openFeed } from '../support/sse-client.ts'
import { suspendTail } from '../support/suspend.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'

import { addItem, nextTexts, setUpEvents } from './events-setup.ts'

// These tests mostly wait for heartbeats, expiries and reconnects, so they run concurrently.
t.jobs = 4

t.test('an EventSource misses no event when the service restarts', async t => {
  const first = await setUpEvents(t)
  const { app, url, ann, listId } = first
  const source = new EventSource(`${url}/events`, {
    fetch: (input, init) =>
      fetch(input, { ...init, headers: { ...init.headers, cookie: ann.cookie } })
  })
  t.teardown(() => source.close())
  const received: string[] = []
  source.addEventListener('item.added', ({ data, lastEventId }) => {
    t.match(lastEventId, /^[0-9a-f]{12}\.[0-9a-z]+$/)
    received.push(JSON.parse(data).after.text)
  })
  await once(source as unknown as EventTarget, 'ready')
  await addItem(app, listId, 'before')
  await until(() => received.length === 1)
  const { databaseUrl } = app.config
  await app.close()
  const next = await build(t, { DATABASE_URL: databaseUrl })
  await addItem(next, listId, 'meanwhile')
  await next.listen({ host: '127.0.0.1', port: Number(new URL(url).port) })
  await once(source as unknown as EventTarget, 'ready')
  await addItem(next, listId, 'after')
  await until(() => received.length === 3)
  t.strictSame(received, ['before', 'meanwhile', 'after'])
})

t.test('an EventSource reconnects after the database was unavailable', async t => {
  const proxy = await tcpProxy(t, await createDatabase(t))
  const { app, url, ann, listId } = await setUpEvents(t, { DATABASE_URL: proxy.url })
  proxy.close()
  const accept = { accept: 'text/event-stream', cookie: ann.cookie }
  const away = await fetch(`${url}/events`, { headers: accept })
  t.equal(away.status, 200)
  t.match(away.headers.get('content-type'), /^text\/event-stream/)
  t.match(await away.text(), /^retry: \d+\n$/, 'only the retry field')
  const plain = await fetch(`${url}/events`, { headers: { cookie: ann.cookie } })
  t.equal(plain.status, 503, 'a client that is no EventSource receives 503')

  const source = new EventSource(`${url}/events`, {
    fetch: (input, init) =>
      fetch(input, { ...init, headers: { ...init.headers, cookie: ann.cookie } })
  })
  t.teardown(() => source.close())
  await once(source as unknown as EventTarget, 'open')
  await proxy.reopen()
  await once(source as unknown as EventTarget, 'ready')
  const received = once(source as unknown as EventTarget, 'item.added')
  await until(() => addItem(app, listId, 'afterwards'))
  const [{ data }] = await received
  t.equal(JSON.parse(data).after.text, 'afterwards')
})

t.test('a stream resumes after its cursor on any node', async t => {
  const { app, url, ann, listId } = await setUpEvents(t)
  const first = await openFeed(t, url, ann.headers)
  const names = Array.from({ length: 30 }, (_, n) => `item ${n}`)
  for (const name of names) await addItem(app, listId, name)
  await nextTexts(first, names.length)
  // The ring buffer of a new node is empty, so it reads the log.
  const other = await build(t, { DATABASE_URL: app.config.databaseUrl })
  const otherUrl = await listen(other)
  const resumed = []
  for (const on of [url, otherUrl]) {
    for (const seen of [1, 17, 29, 30]) {
      const cursor = first.events[seen]?.id as string
      const byHeader = await openFeed(t, on, ann.headers, { cursor })
      const byQuery = await openFeed(t, on, ann.headers, { query: `?last_event_id=${cursor}` })
      const byBoth = await openFeed(t, on, ann.headers, {
        cursor,
        query: `?last_event_id=${first.events[0]?.id}`
      })
      for (const feed of [byHeader, byQuery, byBoth]) resumed.push({ feed, seen, cursor })
    }
  }
  await addItem(other, listId, 'live again')
  const everything = [...names, 'live again']
  await nextTexts(first, 1)
  for (const { feed, seen, cursor } of resumed) {
    t.match(await feed.next(), { event: 'ready', id: cursor })
    t.strictSame(await nextTexts(feed, everything.length - seen), everything.slice(seen))
    t.strictSame(feed.events.slice(1), first.events.slice(seen + 1), 'the same events')
  }
})

t.test('a cursor older than the ring buffer resumes from the log', async t => {
  const { app, url, ann, listId } = await setUpEvents(t)
  const before = await openFeed(t, url, ann.headers)
  const { id: cursor } = await before.next('ready')
  before.stop()
  await app.sql`
    insert into checklist_items (checklist_id, text, position)
    select ${listId}, 'Chair ' || n, n
    from generate_series(1, 10500) as n`
  await until(() => app.pubsub.health().buffer.events === 10_000)
  const after = await openFeed(t, url, ann.headers, { cursor })
  t.strictSame(
    await nextTexts(after, 10_500),
    Array.from({ length: 10_500 }, (_, n) => `Chair ${n + 1}`)
  )
})

t.test('a stream resumed on a node behind the database misses no event', async t => {
  const { app, url, ann, listId } = await setUpEvents(t)
  const { id: cursor } = await (await openFeed(t, url, ann.headers)).next('ready')
  const resume = await suspendTail(t, app)
  await addItem(app, listId, 'while suspended')
  const feed = await openFeed(t, url, ann.headers, { cursor })
  t.strictSame(await nextTexts(feed, 1), ['while suspended'])
  resume()
  await addItem(app, listId, 'after the suspension')
  t.strictSame(await nextTexts(feed, 1), ['after the suspension'])
})

t.test('an unknown cursor receives reset, then live events', async t => {
  const { app, url, ann, listId } = await setUpEvents(t)
  const { epoch, deliveredHead: head } = app.pubsub
  const cursors: [string, string][] = [
    ['garbage', 'unknown'],
    ['-1', 'unknown'],
    [`${epoch}.`, 'unknown'],
    [`${epoch}.ZZ`, 'unknown'],
    [`${epoch}.-1`, 'unknown'],
    [`${epoch}.${'z'.repeat(10)}`, 'unknown'],
    [`${epoch}.${'z'.repeat(11)}`, 'unknown'],
    [formatCursor({ epoch, pos: head + 100 }), 'unknown'],
    [`${'0'.repeat(12)}.1`, 'restored'],
    ['x'.repeat(10_000), 'unknown'],
    [encodeURIComponent("'; drop table events; --"), 'unknown']
  ]
  const feeds = []
  for (const [cursor, reason] of cursors) {
    feeds.push({ reason, feed: await openFeed(t, url, ann.headers, { cursor }) })
    feeds.push({
      reason,
      feed: await openFeed(t, url, ann.headers, { query: `?last_event_id=${cursor}` })
    })
  }
  for (const { feed, reason } of feeds) {
    t.match(await feed.next(), { event: 'ready', id: '' }, 'ready has no cursor before a reset')
    t.match(await feed.next(), { event: 'reset', data: { reason } })
  }
  await addItem(app, listId, 'Milk')
  for (const { feed } of feeds) t.match(await feed.next(), { event: 'item.added' })
  for (const nul of ['%00', 'a%00b', '%ff']) {
    const { response } = await openFeed(t, url, ann.headers, { query: `?last_event_id=${nul}` })
    t.ok([200, 400].includes(response.status), `${nul} ${response.status}`)
  }
})

t.test('a new epoch resets every open stream', async t => {
  const { app, url, ann, listId } = await setUpEvents(t)
  const feed = await openFeed(t, url, ann.headers)
  const { id: old } = await feed.next('ready')
  await app.sql`update log_state set generation = generation + 1`
  const reset = await feed.next('reset')
  t.match(reset.data, { reason: 'restored' })
  t.not(reset.id.split('.')[0], old.split('.')[0])
  await addItem(app, listId, 'Milk')
  await feed.next('item.added')
  const stale = await openFeed(t, url, ann.headers, { cursor: old })
  t.match(await stale.next('reset'), { data: { reason: 'restored' } })
})

t.test('a backup restored into another database resets streams and checklists', async t => {
  const { app, url, ann, listId } = await setUpEvents(t)
  const feed = await openFeed(t, url, ann.headers)
  await addItem(app, listId, 'in the backup')
  const { id: cursor } = await feed.next('item.added')
  const { epoch } = app.pubsub
  await app.close()
  const restored = await build(t, { DATABASE_URL: await createDatabase(t, app.config.databaseUrl) })
  await addItem(restored, listId, 'afterwards')
  const again = await listen(restored)
  const resumed = await openFeed(t, again, ann.headers, { cursor })
  t.match((await resumed.next('reset')).data, { reason: 'restored' })
  const live = await openLive(t, again, ann.headers)
  live.send({ type: 'open', checklistId: listId, since: 2, epoch })
  t.match(await live.next('reset'), { reason: 'restored' })
  t.match(await live.next('snapshot'), { checklist: { rev: 3 } })
  await addItem(restored, listId, 'live again')
  t.strictSame(await nextTexts(resumed, 1), ['live again'])
})

t.test('a cursor below the retention floor receives reset', async t => {
  const { app, url, ann } = await setUpEvents(t)
  const feed = await openFeed(t, url, ann.headers)
  const { id: cursor } = await feed.next('ready')
  await app.sql`update log_state set floor_pos = ${app.pubsub.deliveredHead + 1}`
  const late = await openFeed(t, url, ann.headers, { cursor })
  t.match(await late.next('reset'), { data: { reason: 'expired' } })
})
