import type { PendingQuery, Row } from 'postgres'
import type { Sql } from './executor.ts'

/** The limits of a page of events. The last event may exceed the bytes. */
export interface PageLimits {
  rows: number
  bytes: number
}

/** The columns that `selectPage` adds to an event: its size in bytes, and the byte of the page at which it starts. */
export interface Sized {
  bytes: number
  startByte: number
}

/** The columns of an event that a `Change` of a checklist has too; `before` and `after` are JSON text. */
export const changeColumns = (sql: Sql) => sql`
  rev, kind, item_id as "itemId", before::text, after::text, actor_id as "actorId", op_id as "opId", source, at`

/** All columns of an event. */
export const eventColumns = (sql: Sql) => sql`
  events.pos, events.project_id as "projectId", checklist_id as "checklistId", user_id as "userId",
  ${changeColumns(sql)}`

/**
 * Selects `columns` of the events at the positions that `positions` selects, in its order, up to the limits. The size
 * of an event is roughly what it takes in memory or on the wire: 300 bytes and its texts.
 *
 * A page must cost what it contains, so PostgreSQL must not build the texts of events beyond its end. Therefore each
 * event is looked up in its turn, because a sort would run after all texts are built. The page ends by a count and not
 * by a sum: PostgreSQL knows of a running count that it only rises, and stops there (a run condition, from version 15).
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

/** Returns whether no event comes after those of a page, which was selected with these limits. */
export function isLastPage(page: Sized[], { rows, bytes }: PageLimits): boolean {
  const last = page.at(-1)
  return page.length < rows && (!last || last.startByte + last.bytes < bytes)
}
