import { randomUUID } from 'node:crypto'
import type { Operation } from '../../schemas/operation.ts'

/** An operation without its id. */
export type NewOperation = Operation extends infer Op
  ? Op extends Operation
    ? Omit<Op, 'opId'>
    : never
  : never

/** Returns the operation with a new id. */
export function withOpId(op: NewOperation): Operation {
  return { opId: randomUUID(), ...op } as Operation
}
