import type { Sql } from 'postgres'

interface LargeEvents {
  projectId: string
  listId: string
  count: number
  /** approximate size of the value in each event */
  bytes: number
}

/**
 * Inserts `count` changes of a checklist directly into the log, each with a value of `bytes` that does not compress,
 * and notifies every node. The constraints of the tables allow no values of this size.
 */
export async function insertLargeEvents(
  sql: Pick<Sql, 'begin'>,
  { projectId, listId, count, bytes }: LargeEvents
) {
  await sql.begin(async tx => {
    await tx`
      with value as (
        select string_agg(md5(random()::text || n), '') as text
        from generate_series(1, ${Math.ceil(bytes / 32)}::int) as n
      )
      insert into events (pos, kind, project_id, checklist_id, rev, after, source, at)
      select
        nextval('events_pos'), 'checklist.updated', ${projectId}, ${listId}, rev + n,
        jsonb_build_object('title', n || ' ' || text), 'sql', now()
      from checklist_revs, value, generate_series(1, ${count}::int) as n
      where checklist_id = ${listId}
      order by n`
    await tx`update checklist_revs set rev = rev + ${count}::int where checklist_id = ${listId}`
    await tx`notify concord`
  })
}
