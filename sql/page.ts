import type { PageQuery } from '../schemas/page.ts'
import type { Sql } from './executor.ts'

/**
 * Returns SQL fragments for paging by a time and an id. The next request sends the column `rowCursor` as `after`.
 * `order` selects one row more than a page, which shows that there is a next page.
 */
export function keyset(sql: Sql, time: string, id: string, { limit, after }: PageQuery) {
  const [at, row] = [sql(time), sql(id)]
  const [micros = '', last = ''] = after?.split('_') ?? []
  return {
    rowCursor: sql`(extract(epoch from ${at}) * 1000000)::bigint || '_' || ${row} as "rowCursor"`,
    isAfter: after
      ? sql`(${at}, ${row}) > (to_timestamp(${micros}::bigint / 1000000.0), ${last}::uuid)`
      : sql`true`,
    order: sql`order by ${at}, ${row} limit ${limit + 1}`
  }
}

/** Returns the rows of one page, and the cursor of the next page if there is a next page. */
export function toPage<Row extends { rowCursor: string }>(rows: Row[], { limit }: PageQuery) {
  const page = rows.slice(0, limit)
  return { page, next: rows.length > limit ? page.at(-1)?.rowCursor : undefined }
}
