import type { Operation, Result } from '../schemas/operation.ts'
import type { Sql } from './executor.ts'

/** One operation of a batch. Entries with the same `job` are decided in order. */
export interface Entry {
  job: number
  actor: string
  list: string
  source: 'ws' | 'http'
  /** Digest of the operation. When an id is sent again with another digest, it is a different operation. */
  digest: string
  op: Operation
  /** The trace of the request or message; every entry of a node with tracing has one, which may be empty. */
  trace?: string
  /** The merged text. It is sent after the database has returned `needs`: see sql/functions/operations.sql. */
  merge?: { live: string; value: string | null; parts?: Result['parts'] }
}

/**
 * The decision about one entry:
 *
 * - A result. `fault` is the error message of PostgreSQL because of which the operation is invalid.
 * - `needs`: nothing was written. The node must send the operation again, merged with this live text, or as the first
 *   operation of a statement when it is null.
 * - `busy`: nothing was written. Another transaction holds a lock on such a row, or `fault` is an unexpected error.
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
 * Decides and writes a batch in one statement. `pos` is the last written position, or null when nothing was written.
 * The entries after an undecided entry of the same job have the decision null. Throws 55P03 when another transaction
 * holds the commit lock for longer than lock_timeout.
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
