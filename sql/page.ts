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
