import { randomUUID } from 'node:crypto'
import t from 'tap'
import { openTailConnection } from '../../plugins/pubsub/tail.ts'
import { readChanges } from '../../sql/changes.ts'
import type { Sql } from '../../sql/executor.ts'
import { type Memberships, readAfter, readMemberships, readVisibleAfter } from '../../sql/log.ts'
import { findEndedSessions } from '../../sql/sessions.ts'
import { createDatabase, openSql } from '../support/database.ts'
import { insertLargeEvents } from '../support/large-events.ts'
import { insertProject } from '../support/projects.ts'
import { insertUser } from '../support/users.ts'

t.test("a query of visible events does not read other projects' events", async t => {
  const sql = openSql(t, await createDatabase(t))
  const userId = await insertUser(sql)
  const mine = await insertProject(sql, userId)
  const others = await insertProject(sql)
  await sql`insert into checklists (project_id, title) values (${mine}, 'List')`
  // Inserts so many events that the query plan uses an index.
  await sql`
    insert into events (pos, kind, project_id, before, source, at)
    select nextval('events_pos'), 'project.updated', ${others}, ${sql.json({ name: 'x'.repeat(500) })}, 'sql', now()
    from generate_series(1, 50000)`
  await sql`update projects set name = 'Ours' where id = ${mine}`
  await sql`analyze`

  const read = await rowsRead(sql, async tx => {
    const [memberships] = (await readMemberships(tx, [userId])) as [Memberships]
    const limits = { rows: 500, bytes: 1e6 }
    const { events } = await readVisibleAfter(tx, { userId, memberships, pos: 0, limits })
    t.strictSame(
      events.map(({ kind }) => kind),
      ['member.added', 'checklist.created', 'project.updated']
    )
    await findEndedSessions(tx, 900)
  })
  t.ok(read < 100, `${read} rows of the log were read`)
})

t.test('a checklist was updated at the time of its newest event', async t => {
  const sql = openSql(t, await createDatabase(t))
  const projectId = await insertProject(sql)
  const lists = await sql<{ id: string }[]>`
    insert into checklists (project_id, title)
    select ${projectId}, 'List' from generate_series(1, 20)
    returning id`
  for (const { id } of lists) await sql`update checklists set title = 'Other' where id = ${id}`
  const differing = await sql`
    select checklist_id
    from events
    join checklist_revs using (checklist_id, rev)
    where at <> updated_at`
  t.equal(differing.length, 0)
})

t.test('a page of events does not read values beyond its byte limit', async t => {
  const sql = openSql(t, await createDatabase(t))
  const listId = randomUUID()
  const userId = await insertUser(sql)
  const projectId = await insertProject(sql, userId)
  await sql`insert into checklists (id, project_id, title) values (${listId}, ${projectId}, 'List')`
  await insertLargeEvents(sql, { projectId, listId, count: 200, bytes: 50_000 })
  const [{ first }] = await sql<
    [{ first: number }]
  >`select min(pos) as first from events where rev = 2`
  const pos = first - 1
  // About ten events fit into a page. A value of 50 kB is stored in about 26 TOAST chunks.
  const bytes = 500_000
  const limits = { rows: 500, bytes }

  const readers: Record<string, (tx: Sql) => Promise<number>> = {
    readAfter: async tx => (await readAfter(tx, pos, limits)).events.length,
    async readVisibleAfter(tx) {
      const [memberships] = (await readMemberships(tx, [userId])) as [Memberships]
      return (await readVisibleAfter(tx, { userId, memberships, pos, limits })).events.length
    },
    readChanges: async tx =>
      (await readChanges(tx, userId, listId, { since: 1, limit: 500, bytes })).changes.length
  }
  for (const [name, read] of Object.entries(readers)) {
    let count = 0
    const chunks = await chunksRead(sql, async tx => {
      count = await read(tx)
    })
    t.equal(count, 10, name)
    t.ok(chunks < 400, `${name}: ${chunks} TOAST chunks`)
  }
})

t.test('the plan that reads the log is made once and uses an index', async t => {
  const url = await createDatabase(t)
  const sql = openSql(t, url)
  for (const events of [0, 1000, 1_000_000]) {
    await sql`
      insert into events (pos, kind, source, at)
      select pos, 'project.updated', 'sql', now()
      from generate_series((select coalesce(max(pos), 0) + 1 from events), ${events}::bigint) as pos`
    const tail = openTailConnection(url)
    for (let n = 0; n < 7; n++) await readAfter(tail, events, { rows: 1000, bytes: 2 << 20 })
    const [statement] = await tail<[{ name: string; generic_plans: number; custom_plans: number }]>`
      select name, generic_plans, custom_plans
      from pg_prepared_statements
      where statement like '%"startByte"%' and name <> ''
      order by prepare_time
      limit 1`
    t.match(statement, { generic_plans: 7, custom_plans: 0 }, `${events} events`)
    const plan = await tail.unsafe(`explain execute "${statement.name}" (2097152, ${events}, 1000)`)
    const lines = plan.map(row => row['QUERY PLAN'] as string).join('\n')
    t.match(lines, /Index Only Scan using events_pkey/)
    t.notMatch(lines, /Seq Scan on events|JIT/)
    await tail.end()
  }
})

/** Returns how many TOAST chunks of events some queries read. */
async function chunksRead(sql: Sql, query: (tx: Sql) => Promise<void>): Promise<number> {
  const [{ name }] = await sql<[{ name: string }]>`
    select reltoastrelid::regclass::text as name from pg_class where oid = 'events'::regclass`
  return rowsRead(sql, query, name.replace('pg_toast.', ''))
}

/** Returns how many rows of a table some queries read. */
function rowsRead(sql: Sql, query: (tx: Sql) => Promise<void>, table = 'events'): Promise<number> {
  return sql.begin(async tx => {
    const before = await read()
    await query(tx as unknown as Sql)
    return (await read()) - before

    async function read() {
      const [{ rows }] = await tx<[{ rows: number }]>`
        select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) as rows
        from pg_stat_xact_all_tables
        where relname = ${table}`
      return rows
    }
  }) as Promise<number>
}
