import type { Working } from './replay.ts'
import type { Entry } from './storage.ts'
import type { Operation } from './types.ts'

/** An unsent entry, and the operation that replaces its operation. With null the entry is deleted. */
export interface Combined {
  entry: Entry
  into: Operation | null
}

/**
 * Returns how a new operation combines with an earlier one that was never sent, or undefined when it must be added to the
 * queue. `entries` are those of the checklist; `working` is their replay, without the new operation.
 */
export function combine(
  _entries: readonly Entry[],
  _working: Working,
  _op: Operation
): Combined | undefined {
  return undefined
}
