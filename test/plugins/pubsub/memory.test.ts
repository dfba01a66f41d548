import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { build } from '../../support/app.ts'
import { createDatabase, openSql } from '../../support/database.ts'
import { insertLargeEvents } from '../../support/large-events.ts'
import { readMetric } from '../../support/metrics.ts'
import { insertProject } from '../../support/projects.ts'

/** Starts a node on a database whose log contains `count` events already. */
async function setUp(t: Test, count: number) {
  const url = await createDatabase(t)
  const sql = openSql(t, url, 4)
  const projectId = await insertProject(sql)
  const [list] = await sql<[{ id: string }]>`
    insert into checklists (project_id, title) values (${projectId}, 'List') returning id`
  const add = (items: number) => sql`
    insert into checklist_items (checklist_id, text)
    select ${list.id}, 'Item ' || n from generate_series(1, ${items}::int) as n`
  await add(count)
  const app = await build(t, { DATABASE_URL: url })
  const positions = async (after: number) =>
    (await sql<{ pos: number }[]>`select pos from events where pos > ${after} order by pos`).map(
      ({ pos }) => Number(pos)
    )
  return { app, sql, add, positions, projectId, listId: list.id }
}

async function readings(app: FastifyInstance): Promise<number> {
  return (await readMetric(app, 'concord_catch_ups_total{from="log"}')) || 0
}

t.test('clients of a restarted node share one reading of what they missed', async t => {
  const { app, add, positions } = await setUp(t, 1500)
  const { epoch, deliveredHead: head } = app.pubsub
  const recent = (pos: number) =>
    app.pubsub.recent({ epoch, pos }, 10_000)?.map(event => event.pos) ?? null
  t.equal(recent(head - 1200), null, 'a new node has none of the events')

  const writing = Array.from({ length: 20 }, () => add(1))
  await Promise.all(
    Array.from({ length: 50 }, (_, n) => app.pubsub.loadRecent({ epoch, pos: head - 1200 + n }))
  )
  await Promise.all(writing)
  await app.pubsub.delivered(head + 20)
  t.strictSame(recent(head - 1200), await positions(head - 1200))
  t.ok((await readings(app)) <= 4, 'a page has 1,000 events')

  const before = await readings(app)
  await app.pubsub.loadRecent({ epoch, pos: head - 1200 })
  await app.pubsub.loadRecent({ epoch: 'another', pos: head - 1300 })
  t.equal(await readings(app), before, 'nothing is missing, or the cursor is of another epoch')
})

t.test('memory takes no events that are too many, too large or deleted', async t => {
  const { app, sql, add, projectId, listId } = await setUp(t, 2100)
  const { epoch, deliveredHead: head } = app.pubsub
  await app.pubsub.loadRecent({ epoch, pos: head - 2001 })
  t.equal(await readings(app), 0, 'too many are missing')

  await sql`delete from events where pos <= ${head - 100}`
  await sql`update log_state set floor_pos = ${head - 100}`
  await app.pubsub.loadRecent({ epoch, pos: head - 150 })
  t.equal(app.pubsub.recent({ epoch, pos: head - 150 }, 10), null, 'some were deleted')
  t.equal(app.pubsub.recent({ epoch, pos: head - 100 }, 1000)?.length, 100)

  await insertLargeEvents(sql, { projectId, listId, count: 1, bytes: 40_000_000 })
  await add(1)
  const fresh = await build(t, { DATABASE_URL: app.config.databaseUrl })
  const cursor = { epoch, pos: head }
  await fresh.pubsub.loadRecent(cursor)
  t.ok(fresh.pubsub.recent(cursor, 10) === null, 'one is too large')
  const before = await readings(fresh)
  await fresh.pubsub.loadRecent(cursor)
  t.equal(await readings(fresh), before, 'it is not read again')
})
