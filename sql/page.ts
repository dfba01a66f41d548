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

/** What `within` tells of a row: its own weight, and that of the page before it. */
export interface Weighed {
  bytes: number
  held: number
}

/** The first of some ordered rows that have a column `bytes`: who reads slowly must not hold megabytes here. */
export function within(sql: Sql, { rows, bytes }: Most, ordered: PendingQuery<Row[]>) {
  return sql`
    select *
    from (
      select *, sum(bytes) over (rows unbounded preceding) - bytes as held
      from (${ordered} limit ${rows}) as ordered
    ) as weighed
    where held < ${bytes}`
}

/** Whether nothing comes after these rows, which are `within` the same bounds. */
export function isLast(page: Weighed[], { rows, bytes }: Most): boolean {
  const last = page.at(-1)
  return page.length < rows && (!last || last.held + last.bytes < bytes)
}
