import { type Static, Type } from '@sinclair/typebox'
import { maximum } from './limits.ts'

/**
 * Cursor of a page. It contains the creation time of the last row of the page, in microseconds since 1970, and the id
 * of that row.
 */
const cursor = {
  pattern: '^\\d{1,16}_[\\da-f]{8}-([\\da-f]{4}-){3}[\\da-f]{12}$',
  examples: ['1763807293370123_0b9f2b0e-5d4e-4c1c-9a53-3f1a3c9c7d10']
}

export const PageQuery = Type.Object(
  {
    limit: Type.Integer({
      minimum: 1,
      maximum: maximum.rowsPerPage,
      default: maximum.rowsPerPage,
      description: 'maximum number of entries in the page',
      examples: [maximum.rowsPerPage]
    }),
    after: Type.Optional(
      Type.String({ ...cursor, description: '`next` of the previous page; opaque' })
    )
  },
  { additionalProperties: false }
)
export type PageQuery = Static<typeof PageQuery>

export const Next = Type.Optional(
  Type.String({
    ...cursor,
    description: '`after` for the request of the next page; absent from the last page'
  })
)
