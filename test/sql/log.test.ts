import { randomUUID } from 'node:crypto'
import postgres from 'postgres'
import t from 'tap'
import { connection } from '../../plugins/db/index.ts'
import type { Sql } from '../../sql/executor.ts'
import { readFeed, readFeedAfter } from '../../sql/log.ts'
import { recentlyEnded } from '../../sql/sessions.ts'
import { database } from '../helper.ts'

t.test('who was away does not look at what others wrote meanwhile', async t => {
  const sql: Sql = postgres(await database(t), { ...connection, max: 1 })
  t.teardown(() => sql.end())
  const [user] = await sql`
    insert into users (email, name)
    values ('ann@example.com', 'Ann')
    returning id`
  const mine = randomUUID()
  const others = randomUUID()
  await sql`insert into projects (id, name) values (${mine}, 'Mine'), (${others}, 'Not mine')`
  await sql`insert into project_members (project_id, user_id, role) values (${mine}, ${user?.id}, 'owner')`
  await sql`insert into checklists (project_id, title) values (${mine}, 'List')`
  // More than it takes no longer to read as a whole.
  await sql`
    insert into events (pos, kind, project_id, before, source, at)
    select nextval('events_pos'), 'project.updated', ${others}, ${sql.json({ name: 'x'.repeat(500) })}, 'sql', now()
    from generate_series(1, 50000)`
  await sql`update projects set name = 'Ours' where id = ${mine}`
  await sql`analyze`

  const read = await rowsRead(sql, async tx => {
    const feed = await readFeed(tx, user?.id)
    const most = { rows: 500, bytes: 1e6 }
    const { events } = await readFeedAfter(tx, { userId: user?.id, feed, pos: 0, most })
    t.strictSame(
      events.map(({ kind }) => kind),
      ['member.added', 'checklist.created', 'project.updated']
    )
    await recentlyEnded(tx, 900)
  })
  t.ok(read < 100, `${read} rows of the log`)
})

/** How many rows of the log some queries look at. */
function rowsRead(sql: Sql, query: (tx: Sql) => Promise<void>): Promise<number> {
  return sql.begin(async tx => {
    await query(tx as unknown as Sql)
    const [{ rows }] = await tx<[{ rows: number }]>`
      select seq_tup_read + idx_tup_fetch as rows
      from pg_stat_xact_user_tables
      where relname = 'events'`
    return rows
  }) as Promise<number>
}
