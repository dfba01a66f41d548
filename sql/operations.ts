import type { Operation, Result } from '../schemas/operation.ts'
import type { Sql } from './executor.ts'

/** One operation of a batch; entries of one `job` are decided in order. */
export interface Entry {
  job: number
  actor: string
  list: string
  source: 'ws' | 'http'
  /** Digest of the operation: the same id with another digest is another operation. */
  digest: string
  op: Operation
  /** The merged text, after the database returned `needs`: see sql/functions/operations.sql. */
  merge?: { live: string; value: string | null; parts?: Result['parts'] }
}

/**
 * The decision of one entry, as decide_operation returns it: its result, with what it wrote (`wrote`) or the error of
 * PostgreSQL that made it invalid (`fault`); or, when nothing was written, `needs`, the live text to merge with (null:
 * send it as the first of a statement), or `busy`, the kind of the row that another transaction holds.
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
 * Decides and writes a batch in one statement. Returns the last position written (null when nothing was) and the
 * decision of each entry, null for entries after one of the same job that could not be decided. Throws 55P03 when
 * another transaction holds the commit lock for longer than the connection's lock_timeout.
 */
export async function applyOperations(
  sql: Sql,
  batch: Entry[]
): Promise<{ pos: number | null; results: (Decision | null)[] }> {
  const [{ applied }] = await sql<
    [{ applied: { pos: number | null; results: (Decision | null)[] } }]
  >`
    select apply_operations(${sql.json(batch as never)}) as applied`
  return applied
}
