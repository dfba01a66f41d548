import type { Operation } from './types.ts'

const sizes = new WeakMap<Operation, number>()
const encoder = new TextEncoder()

/** Returns the length of the JSON of an operation in bytes. */
export function sizeOf(op: Operation): number {
  const size = sizes.get(op) ?? encoder.encode(JSON.stringify(op)).length
  sizes.set(op, size)
  return size
}
