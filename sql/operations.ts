import type { Operation, Result } from '../schemas/operation.ts'
import type { Sql } from './executor.ts'

/** One operation of a batch; entries of one `job` are decided in order. */
export interface Entry {
  job: number
  actor: string
  list: string
  source: 'ws' | 'http'
  /** of the operation as it was sent: the same id with another digest is another operation */
  digest: string
  op: Operation
  /** words merged with a live text that was answered as `needs` */
  merge?: { live: string; value: string | null; parts?: Result['parts'] }
}

/**
 * The answer to one entry: its result, with what it wrote and with the error of PostgreSQL that made it invalid, if
 * any; or, when nothing was written, `needs`: the live text that its words have to be merged with (null: it has to
 * be the first of a statement), or `busy`: another transaction holds a row that it wants.
 */
export type Decision =
  | (Omit<Result, 'opId'> & {
      hidden?: true
      wrote?: { events: number; bytes: number }
      fault?: string
    })
  | { needs: string | null }
  | { busy: 'list' | 'item'; fault?: string }

/**
 * Decides and writes a batch in one statement. `pos` is the last position written, null when nothing was. Throws
 * 55P03 when another transaction holds the commit lock for longer than the connection's lock_timeout.
 */
export async function applyOperations(
  sql: Sql,
  batch: Entry[]
): Promise<{ pos: number | null; results: (Decision | null)[] }> {
  const [{ answer }] = await sql<
    [{ answer: { pos: number | null; results: (Decision | null)[] } }]
  >`
    select apply_operations(${sql.json(batch as never)}) as answer`
  return answer
}
