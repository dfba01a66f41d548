import type { Working } from './replay.ts'
import type { Operation } from './types.ts'

/** An operation without its `opId`, which the caller adds. */
export type NewOperation = Operation extends infer Op
  ? Op extends Operation
    ? Omit<Op, 'opId'>
    : never
  : never

export interface Undo {
  /** Records an operation of the user, before it is applied to `working`. Nothing can be redone from then on. */
  record(op: Operation, working: Working, now: number): void
  /**
   * Returns the operations that take the last recorded operation back, to be applied in order and not recorded. Returns
   * null when another user has changed the same since, or when there is nothing to undo; the step is then given up.
   */
  undo(working: Working): NewOperation[] | null
  /** Returns the operations that take the last undo back, as `undo` does. */
  redo(working: Working): NewOperation[] | null
  canUndo(): boolean
  canRedo(): boolean
}

export function createUndo(_limit = 200): Undo {
  return {
    record: () => {},
    undo: () => null,
    redo: () => null,
    canUndo: () => false,
    canRedo: () => false
  }
}
