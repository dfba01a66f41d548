import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import type { Sql } from '../../sql/executor.ts'
import { deleteOldChanges, deleteOldEvents } from '../../sql/retention.ts'
import { createDatabase, openSql } from '../support/database.ts'

const retention = { feedDays: 7, historyDays: 90, historyChanges: 2, operationDays: 30, limit: 3 }

/** Inserts a log of one checklist: one event for each age in days, negative for a time stamp in the future. */
async function insertLog(t: Test, ages: number[], { isDeleted = false } = {}) {
  const sql = openSql(t, await createDatabase(t))
  const [projectId, listId] = [randomUUID(), randomUUID()]
  await sql`insert into projects (id, name) values (${projectId}, 'Fair')`
  if (!isDeleted)
    await sql`insert into checklists (id, project_id, title) values (${listId}, ${projectId}, 'List')`
  await sql`delete from events`
  await sql`
    insert into events (pos, kind, project_id, checklist_id, rev, source, at)
    select n, 'checklist.updated', ${projectId}, ${listId}, n, 'sql', now() - make_interval(days => age)
    from unnest(${ages}::int[]) with ordinality as stamped (age, n)`
  await sql`
    insert into checklist_revs (checklist_id, rev, updated_at)
    values (${listId}, ${ages.length}, now())
    on conflict (checklist_id) do update set rev = excluded.rev`

  return {
    sql,
    async floor() {
      while ((await deleteOldEvents(sql, retention)) >= retention.limit);
      const [{ floor }] = await sql<[{ floor: number }]>`select floor_pos as floor from log_state`
      return floor
    },
    async trimmed(floor = ages.length) {
      await sql`update log_state set floor_pos = ${floor}`
      let next: string | null = null
      do next = await sql.begin(tx => deleteOldChanges(tx as unknown as Sql, retention, next))
      while (next !== null)
      const rows = await sql<{ rev: number }[]>`select rev from events order by rev`
      return rows.map(({ rev }) => rev)
    }
  }
}

t.test('retention stops the feed floor at the first young event', async t => {
  t.equal(await (await insertLog(t, [9, 9, 8, 8, 8, 3, 2])).floor(), 5)
  t.equal(
    await (await insertLog(t, [9, 3, 9, 9, 9, 9])).floor(),
    1,
    'old events after a young one do not raise the floor'
  )
  t.equal(await (await insertLog(t, [3, 9])).floor(), 0)
})

t.test('time stamps in the future do not keep the feed floor down', async t => {
  const years = -2000
  t.equal(await (await insertLog(t, [9, years, 9, 9, 2])).floor(), 4)
  const ahead = Array(20).fill(years)
  t.equal(await (await insertLog(t, [9, ...ahead, 9, 2])).floor(), 22, 'many future time stamps')
  t.equal(
    await (await insertLog(t, [9, ...ahead, 2, 9])).floor(),
    1,
    'future time stamps before a young event'
  )
  t.equal(await (await insertLog(t, [9, ...ahead])).floor(), 1)
})

t.test('retention deletes events without a checklist below the feed floor', async t => {
  const { sql, floor } = await insertLog(t, [9, -2000, 9])
  await sql`update events set checklist_id = null, rev = null`
  t.equal(await floor(), 3)
  t.equal((await sql`select from events`).length, 0)
})

t.test('retention of a history leaves no revision gap', async t => {
  const { trimmed } = await insertLog(t, [99, 10, 99, 99, 99, 99, 99, 1, 1])
  t.strictSame(await trimmed(), [2, 3, 4, 5, 6, 7, 8, 9])
})

t.test('time stamps in the future do not keep older changes from deletion', async t => {
  const { trimmed } = await insertLog(t, [99, -2000, 99, 99, 99, 10, 99, 99, 99])
  t.strictSame(await trimmed(), [6, 7, 8, 9])
})

t.test('retention keeps the newest changes, but none of a deleted checklist', async t => {
  const ages = [99, 99, 99, 99, 99, 99]
  t.strictSame(await (await insertLog(t, ages)).trimmed(), [5, 6])
  t.strictSame(await (await insertLog(t, ages, { isDeleted: true })).trimmed(), [])
})

t.test('retention deletes the old changes of more lists than one step considers', async t => {
  const { sql, trimmed } = await insertLog(t, [99], { isDeleted: true })
  await sql`
    with lists as (
      insert into checklist_revs (checklist_id, rev, updated_at)
      select gen_random_uuid(), 3, now()
      from generate_series(1, 20)
      returning checklist_id
    )
    insert into events (pos, kind, checklist_id, rev, source, at)
    select nextval('events_pos') + 100, 'checklist.updated', checklist_id, rev, 'sql', now() - interval '99 days'
    from lists
    cross join generate_series(1, 3) as rev`
  const [{ head }] = await sql<[{ head: number }]>`select max(pos) as head from events`
  t.strictSame(await trimmed(head), [])
})

t.test('retention reads few changes of lists of which it deletes none', async t => {
  const { sql } = await insertLog(t, [1])
  await sql`update log_state set floor_pos = 1000000`
  await sql`
    with lists as (
      insert into checklist_revs (checklist_id, rev, updated_at)
      select gen_random_uuid(), 1000, now()
      from generate_series(1, 20)
      returning checklist_id
    )
    insert into events (pos, kind, checklist_id, rev, source, at)
    select nextval('events_pos') + 100, 'checklist.updated', checklist_id, rev, 'sql', now()
    from lists
    cross join generate_series(1, 1000) as rev`
  await sql`analyze`
  const read = async () => {
    await sql`select pg_stat_force_next_flush()`
    const [{ rows }] = await sql<[{ rows: number }]>`
      select seq_tup_read + idx_tup_fetch as rows
      from pg_stat_user_tables
      where relname = 'events'`
    return rows
  }
  const before = await read()
  const limits = { ...retention, limit: 5000 }
  const next = await sql.begin(tx => deleteOldChanges(tx as unknown as Sql, limits, null))
  t.equal(next, null)
  const rows = (await read()) - before
  t.ok(rows < 1000, `${rows} rows of the log were read`)
})
