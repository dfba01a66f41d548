import type { PendingQuery, Row } from 'postgres'
import type { Sql } from './executor.ts'

/** The limits of a page of events. The last event may exceed the limit of bytes. */
export interface PageLimits {
  rows: number
  bytes: number
}

/** `bytes` is the size of an event. */
export interface Sized {
  bytes: number
}

/** The columns of an event that a `Change` of a checklist also has. `before` and `after` are JSON text. */
export const changeColumns = (sql: Sql) => sql`
  rev, kind, item_id as "itemId", before::text, after::text, actor_id as "actorId", op_id as "opId", source, at`

export const eventColumns = (sql: Sql) => sql`
  events.pos, events.project_id as "projectId", checklist_id as "checklistId", user_id as "userId", trace,
  ${changeColumns(sql)}`

/**
 * Selects `columns` of the events at `positions`, in that order, up to the limits. The size of an event is estimated as
 * 300 bytes plus the length of its JSON texts. PostgreSQL must not build the texts of events beyond the page: each
 * event is queried one after the other, because a sort would run only after all texts are built. The page ends by a
 * running count, not a running sum: PostgreSQL knows that a count never falls, so it stops there (a "run condition",
 * since version 15).
 */
export function selectPage(
  sql: Sql,
  { rows, bytes }: PageLimits,
  columns: PendingQuery<Row[]>,
  positions: PendingQuery<Row[]>
) {
  return sql`
    select *
    from (
      select *, count(*) filter (where "startByte" >= ${bytes}) over (rows unbounded preceding) as beyond
      from (
        select *, sum(bytes) over (rows unbounded preceding) - bytes as "startByte"
        from (
          select event.*, 300 + coalesce(octet_length(before), 0) + coalesce(octet_length(after), 0) as bytes
          from (${positions} limit ${rows}) as found
          cross join lateral (
            select ${columns}
            from events
            where events.pos = found.pos
            offset 0
          ) as event
        ) as sized
      ) as summed
    ) as page
    where beyond < 1`
}

/** Returns whether a page is the last one: the events on it did not reach the limits with which it was selected. */
export function isLastPage(page: Sized[], { rows, bytes }: PageLimits): boolean {
  return page.length < rows && page.reduce((sum, event) => sum + event.bytes, 0) < bytes
}
