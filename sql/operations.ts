import type { Operation, Result } from '../schemas/operation.ts'
import type { Sql } from './executor.ts'

/** One operation of a batch; `job` ties together what must be done in order. */
export interface Entry {
  job: number
  actor: string
  list: string
  source: 'ws' | 'http'
  /** of the operation as it was sent: the same id with another digest is another operation */
  digest: string
  op: Operation
  /** words merged for a live text that was answered with `needs` */
  merge?: { live: string; value: string | null }
}

/** What was decided; `needs` asks for words merged (null: to be tried again), and nothing was written. */
export type Decision =
  | (Omit<Result, 'opId'> & { hidden?: true; needs?: undefined })
  | { needs: string | null }

/** Decides and writes a batch in one statement. `pos` is the last position written, null when nothing was. */
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
