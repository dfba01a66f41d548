import type { PendingQuery, Row } from 'postgres'
import type { PageQuery } from '../schemas/page.ts'
import type { Sql } from './executor.ts'

/**
 * Keyset paging by a time and an id: the columns that name a row's place, the condition for what
 * comes after a place, and the order. One row more than the page tells whether there is a next one.
 */
export function keyset(sql: Sql, time: string, id: string, { limit, after }: PageQuery) {
  const [at, row] = [sql(time), sql(id)]
  const [micros = '', last = ''] = after?.split('_') ?? []
  return {
    place: sql`(extract(epoch from ${at}) * 1000000)::bigint || '_' || ${row} as place`,
    isAfter: after
      ? sql`(${at}, ${row}) > (to_timestamp(${micros}::bigint / 1000000.0), ${last}::uuid)`
      : sql`true`,
    order: sql`order by ${at}, ${row} limit ${limit + 1}`
  }
}

/** Takes the row too many off, and says where the next page begins if there was one. */
export function paged<Row extends { place: string }>(rows: Row[], { limit }: PageQuery) {
  const page = rows.slice(0, limit)
  return { page, next: rows.length > limit ? page.at(-1)?.place : undefined }
}

/** How much a page may hold: rows, and bytes, which the last row may exceed. */
export interface Most {
  rows: number
  bytes: number
}

/** What `within` adds to a row: its own weight, and that of the rows before it. */
export interface Weighed {
  bytes: number
  held: number
}

/**
 * Selects events at the positions that `found` selects, in its order, up to `most`. `columns` have JSON text in
 * `before` and `after`; an event weighs roughly what it takes in memory or on the wire.
 *
 * A page must cost what it holds, and not a thousand events of any size, so PostgreSQL must not make the text
 * of events that are left out. Therefore each is looked up when its turn comes: a sort would come after the
 * text of them all. And a count ends the page: that it only rises PostgreSQL knows (a run condition, from 15
 * on), of the sum it does not.
 */
export function within(
  sql: Sql,
  { rows, bytes }: Most,
  columns: PendingQuery<Row[]>,
  found: PendingQuery<Row[]>
) {
  return sql`
    select *
    from (
      select *, count(*) filter (where held >= ${bytes}) over (rows unbounded preceding) as beyond
      from (
        select *, sum(bytes) over (rows unbounded preceding) - bytes as held
        from (
          select event.*, 300 + coalesce(octet_length(before), 0) + coalesce(octet_length(after), 0) as bytes
          from (${found} limit ${rows}) as found
          cross join lateral (
            select ${columns}
            from events
            where events.pos = found.pos
            offset 0
          ) as event
        ) as weighed
      ) as summed
    ) as page
    where beyond < 1`
}

/** Returns whether nothing comes after these rows, which are `within` the same bounds. */
export function isLast(page: Weighed[], { rows, bytes }: Most): boolean {
  const last = page.at(-1)
  return page.length < rows && (!last || last.held + last.bytes < bytes)
}
