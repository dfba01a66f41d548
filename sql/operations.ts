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
  /** The merged text. It is sent after the database has returned `needs`: see sql/functions/operations.sql. */
  merge?: { live: string; value: string | null; parts?: Result['parts'] }
}

/**
 * The decision about one entry, in one of three forms:
 *
 * - The result of the operation. `wrote` counts the written events and bytes. `fault` is the error message of
 *   PostgreSQL because of which the operation is invalid.
 * - `needs`: nothing was written. The node must send the operation again, merged with this live text. Null means that
 *   it must be the first operation of a statement.
 * - `busy`: nothing was written, because another transaction holds a lock on a row of this kind, or because of an
 *   unexpected error, whose message is `fault`.
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
 * `results` contains the decision about each entry. When an entry could not be decided, the later entries of the same
 * job have the decision null. Throws 55P03 when another transaction holds the commit lock for longer than the
 * connection's lock_timeout.
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
