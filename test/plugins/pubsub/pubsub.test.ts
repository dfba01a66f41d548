import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import type { LogEvent } from '../../../lib/event.ts'
import type { Sql } from '../../../sql/executor.ts'
import { build } from '../../support/app.ts'
import { createDatabase, openSql } from '../../support/database.ts'
import { insertLargeEvents } from '../../support/large-events.ts'
import { insertProject } from '../../support/projects.ts'
import { suspend } from '../../support/suspend.ts'
import { until } from '../../support/until.ts'

t.jobs = 4

/** Inserts a checklist and subscribes to its project at each of `nodes` nodes. */
async function setUp(t: Test, nodes = 1) {
  const url = await createDatabase(t)
  const apps = []
  for (let n = 0; n < nodes; n++) apps.push(await build(t, { DATABASE_URL: url }))
  const sql = openSql(t, url, 4)
  const [app] = apps as [FastifyInstance]
  const projectId = await insertProject(app.sql)
  const [list] = await sql`
    insert into checklists (project_id, title)
    values (${projectId}, 'To buy')
    returning id`
  const listId: string = list?.id
  const [log] = await sql`select max(pos)::int as head from events`
  for (const app of apps) await app.pubsub.delivered(log?.head)
  const received = apps.map(app => {
    const events: LogEvent[] = []
    const stop = app.pubsub.subscribe(`project:${projectId}`, {
      receive: next => void events.push(...next),
      reset: () => void events.splice(0)
    })
    t.teardown(stop)
    return events
  })
  return {
    url,
    app,
    apps,
    sql,
    projectId,
    listId,
    received,
    events: received[0] as LogEvent[]
  }
}

/** Adds items one by one until `stop`, which returns their number. */
function addItems(sql: Sql, listId: string) {
  let isOver = false
  let count = 0
  const done = write()
  return {
    get count() {
      return count
    },
    async stop() {
      isOver = true
      await done
      return count
    }
  }

  async function write() {
    while (!isOver) {
      await sql`insert into checklist_items (checklist_id, text) values (${listId}, ${`item ${++count}`})`
    }
  }
}

async function backends(sql: Sql, name: string): Promise<number[]> {
  const rows = await sql`
    select pid
    from pg_stat_activity
    where datname = current_database()
    and application_name = ${name}`
  return rows.map(({ pid }) => pid)
}

const textOf = ({ after }: LogEvent) => JSON.parse(after ?? '{}').text

/** Waits for `count` items and checks that each was delivered once and in order. */
async function checkDelivery(t: Test, events: LogEvent[], count: number, message: string) {
  const texts = () => events.filter(({ kind }) => kind === 'item.added').map(textOf)
  await until(() => texts().length >= count)
  t.strictSame(
    texts(),
    Array.from({ length: count }, (_, n) => `item ${n + 1}`),
    message
  )
}

t.test('each node has one LISTEN connection and one log connection', async t => {
  const { apps, sql, listId, received } = await setUp(t, 2)
  const names = ['concord listen', 'concord tail']
  for (const name of names)
    t.equal((await backends(sql, name)).length, 2, `two nodes have two connections ${name}`)
  const writing = addItems(sql, listId)
  await until(() => writing.count > 50)
  const count = await writing.stop()
  for (const events of received) await checkDelivery(t, events, count, 'the same on every node')
  for (const name of names) t.equal((await backends(sql, name)).length, 2)
  await apps[1]?.close()
  for (const name of names) await until(async () => (await backends(sql, name)).length === 1)
})

t.test('killed LISTEN and log connections lose no event under load', async t => {
  const { sql, listId, events, app } = await setUp(t)
  const writing = addItems(sql, listId)
  for (let round = 1; round <= 5; round++) {
    for (const name of ['concord listen', 'concord tail']) {
      await until(async () => (await backends(sql, name)).length === 1)
      const [pid] = await backends(sql, name)
      const before = events.length
      await sql`select pg_terminate_backend(${pid as number})`
      await until(() => events.length > before + 10)
    }
  }
  await checkDelivery(t, events, await writing.stop(), 'every item once, in order')
  await until(() => app.pubsub.health().listening)
  t.ok(((await app.metrics.listenerConnects.get()).values[0]?.value ?? 0) > 5)
  t.equal((await backends(sql, 'concord listen')).length, 1)
})

t.test('a stopped LISTEN connection is replaced, events arrive by polling meanwhile', async t => {
  const { sql, listId, events, app } = await setUp(t)
  const [pid] = await backends(sql, 'concord listen')
  suspend(t, pid as number)
  await sql`insert into checklist_items (checklist_id, text) values (${listId}, 'item 1')`
  await checkDelivery(t, events, 1, 'delivered by polling')
  await until(() => !app.pubsub.health().listening, 15_000)
  await sql`insert into checklist_items (checklist_id, text) values (${listId}, 'item 2')`
  await checkDelivery(t, events, 2, 'delivered while not listening')
  await until(() => app.pubsub.health().listening, 15_000)
  const pids = await backends(sql, 'concord listen')
  t.equal(pids.filter(other => other !== pid).length, 1)
  await sql`insert into checklist_items (checklist_id, text) values (${listId}, 'item 3')`
  await checkDelivery(t, events, 3, 'delivered by the new connection')
})

t.test('a stopped log connection is replaced, no event is lost or doubled', async t => {
  const { sql, listId, events } = await setUp(t)
  const [pid] = await backends(sql, 'concord tail')
  suspend(t, pid as number)
  await sql`insert into checklist_items (checklist_id, text) values (${listId}, 'item 1')`
  await sql`insert into checklist_items (checklist_id, text) values (${listId}, 'item 2')`
  await until(() => events.length >= 2, 20_000)
  await checkDelivery(t, events, 2, 'delivered by the new connection')
})

t.test('a new epoch resets every subscriber before its first events', async t => {
  const { sql, listId, events, app } = await setUp(t)
  await sql`insert into checklist_items (checklist_id, text) values (${listId}, 'item 1')`
  await until(() => events.length === 1)
  const { epoch } = app.pubsub
  await sql`update log_state set generation = generation + 1`
  await sql`insert into checklist_items (checklist_id, text) values (${listId}, 'item 2')`
  await until(() => app.pubsub.epoch !== epoch)
  await sql`insert into checklist_items (checklist_id, text) values (${listId}, 'item 3')`
  await until(() => events.at(-1) && textOf(events.at(-1) as LogEvent) === 'item 3')
  t.notOk(
    events.some(event => textOf(event) === 'item 1'),
    'reset() was called before the new events'
  )
})

t.test('a database restored to an older state gets a new epoch', async t => {
  const { apps, sql, listId, events } = await setUp(t, 2)
  for (const text of ['item 1', 'item 2'])
    await sql`insert into checklist_items (checklist_id, text) values (${listId}, ${text})`
  await until(() => events.length === 2)
  const [before] = apps.map(({ pubsub }) => pubsub.epoch)
  // Simulates a restored disk snapshot: deletes a row and its event, and sets back the counters.
  await sql.begin(async tx => {
    await tx`delete from checklist_items where text = 'item 2'`
    await tx`set constraints all immediate`
    await tx`delete from events where pos >= (select pos from events where after ->> 'text' = 'item 2')`
    await tx`select setval('events_pos', max(pos)) from events`
    await tx`update checklist_revs set rev = rev - 2`
  })
  await until(() => apps.every(({ pubsub }) => pubsub.epoch !== before))
  await sql`insert into checklist_items (checklist_id, text) values (${listId}, 'item 3')`
  await until(() => events.at(-1) && textOf(events.at(-1) as LogEvent) === 'item 3')
  t.strictSame(events.map(textOf), ['item 3'], 'reset() was called before the new events')
  t.equal(apps[0]?.pubsub.epoch, apps[1]?.pubsub.epoch)
})

t.test('a subscriber that starts from the ring buffer misses no event', async t => {
  const { sql, listId, app } = await setUp(t)
  const writing = addItems(sql, listId)
  const { epoch, deliveredHead: head } = app.pubsub
  // Adds so many subscribers that the delivery of one event takes several turns of the event loop.
  const unsubscribes = Array.from({ length: 2000 }, () =>
    app.pubsub.subscribe(`checklist:${listId}`, { receive() {}, reset() {} })
  )
  const followers: number[][] = []
  for (let n = 0; n < 20; n++) {
    await until(() => writing.count > n * 5)
    const recent = app.pubsub.recent({ epoch, pos: head }, 100_000) ?? []
    const seen = recent.map(({ pos }) => pos)
    const receive = (events: readonly LogEvent[]) => {
      for (const { pos } of events) if (pos > (seen.at(-1) ?? head)) seen.push(pos)
    }
    t.teardown(app.pubsub.subscribe(`checklist:${listId}`, { receive, reset() {} }))
    followers.push(seen)
  }
  const count = await writing.stop()
  await until(() => followers.every(seen => seen.length >= count))
  const all = (await sql`select pos from events where pos > ${head} order by pos`).map(({ pos }) =>
    Number(pos)
  )
  for (const seen of followers) t.strictSame(seen, all)
  for (const unsubscribe of unsubscribes) unsubscribe()
})

t.test('delivered resolves when the position is delivered, or after a timeout', async t => {
  const { sql, listId, app, events } = await setUp(t)
  const { deliveredHead: head } = app.pubsub
  await app.pubsub.delivered(head)
  const reached = app.pubsub.delivered(head + 1)
  await sql`insert into checklist_items (checklist_id, text) values (${listId}, 'item 1')`
  await reached
  t.equal(events.length, 1)
  await app.pubsub.delivered(head + 1_000_000)
})

t.test('one commit sends one notification', async t => {
  const { url, sql, listId, events } = await setUp(t)
  const payloads: string[] = []
  const listener = openSql(t, url)
  await listener.listen('concord', payload => void payloads.push(payload))
  await sql`
    insert into checklist_items (checklist_id, text)
    select ${listId}, ${'x'.repeat(2000)}
    from generate_series(1, 100)`
  await until(() => events.length === 100)
  t.equal(payloads.filter(payload => payload === '').length, 1)
})

t.test('many commits cause at most one log query in 10 ms', async t => {
  const { sql, listId, events, app } = await setUp(t)
  const queries = async () => (await app.metrics.logReads.get()).values[0]?.value ?? 0
  const [before, start] = [await queries(), performance.now()]
  await Promise.all(
    Array.from(
      { length: 300 },
      () => sql`insert into checklist_items (checklist_id, text) values (${listId}, 'item')`
    )
  )
  await until(() => events.length === 300)
  // The first pages of a connection are small, and no query waits for a page that is not the last one.
  const most = (performance.now() - start) / 10 + 10
  const count = (await queries()) - before
  t.ok(count <= most, `${count} queries, at most ${Math.round(most)}`)
})

t.test('a node that receives notifications sends no heartbeat', async t => {
  const { url, sql, listId, app } = await setUp(t)
  const heartbeats: string[] = []
  const listener = openSql(t, url)
  await listener.listen('concord', payload => {
    if (payload !== '') heartbeats.push(payload)
  })
  for (let n = 0; n < 15; n++) {
    await sql`insert into checklist_items (checklist_id, text) values (${listId}, 'item')`
    await delay(500)
  }
  t.strictSame(heartbeats, [])
  t.ok(app.pubsub.health().listening)
  await until(() => heartbeats.length > 0)
})

t.test('the log reader delivers a hundred events of 500 kB each', async t => {
  const { sql, projectId, listId, events, app } = await setUp(t)
  await insertLargeEvents(sql, { projectId, listId, count: 100, bytes: 500_000 })
  await until(() => events.length === 100, 60_000)
  t.strictSame(
    events.map(({ rev }) => rev),
    events.map((_, n) => n + 2)
  )
  await sql`insert into checklist_items (checklist_id, text) values (${listId}, 'item 1')`
  await checkDelivery(t, events, 1, 'the event after the large ones')
  const { buffer: ring } = app.pubsub.health()
  t.ok(ring.bytes <= 32 << 20, `${ring.bytes} bytes in memory`)
})

t.test('an event larger than the ring buffer is delivered but not buffered', async t => {
  const { sql, projectId, listId, events, app } = await setUp(t)
  const { epoch, deliveredHead: head } = app.pubsub
  await insertLargeEvents(sql, { projectId, listId, count: 1, bytes: 40_000_000 })
  await until(() => events.length === 1, 60_000)
  const pos = events[0]?.pos as number
  await app.pubsub.delivered(pos)
  t.match(app.pubsub.health().buffer, { events: 0, bytes: 0, floor: pos })
  t.equal(
    app.pubsub.recent({ epoch, pos: head }, 10),
    null,
    'a catch-up from before it must read the log'
  )
  t.strictSame(app.pubsub.recent({ epoch, pos }, 10), [])
  await sql`insert into checklist_items (checklist_id, text) values (${listId}, 'item 1')`
  await checkDelivery(t, events, 1, 'the event after the large one')
})

t.test('the log reader uses smaller pages when a large page fails', async t => {
  const { sql, projectId, listId, events } = await setUp(t)
  // Makes every query of more than 16 events fail, as if it took too long.
  await sql.begin(async tx => {
    await tx`
      create function of_a_small_page(value text) returns text
      language plpgsql stable
      as $$
      begin
        perform set_config('test.read', (coalesce(nullif(current_setting('test.read', true), ''), '0')::int + 1)::text, true);
        if current_setting('test.read')::int > 16 then
          raise exception 'a page is too large';
        end if;
        return value;
      end
      $$`
    await tx`alter table events rename to stored_events`
    await tx`
      create view events as
      select
        pos, of_a_small_page(kind) as kind, project_id, checklist_id, rev, item_id, user_id,
        before, after, actor_id, op_id, source, at, trace
      from stored_events`
    await tx`
      insert into stored_events (pos, kind, project_id, checklist_id, rev, source, at)
      select nextval('events_pos'), 'checklist.updated', ${projectId}, ${listId}, 1 + n, 'sql', now()
      from generate_series(1, 100) as n`
  })
  await until(() => events.length === 100)
  t.strictSame(
    events.map(({ rev }) => rev),
    events.map((_, n) => n + 2)
  )
})
