import type { Task } from './task.ts'

// In the rate limit of a user, an operation that exceeds one of these numbers counts as several operations.
const perOperation = { bytes: 16 << 10, events: 10, mergeMs: 5 }

/** Returns the cost of a task before it is decided: 1 for each operation, and 1 for each 16 KiB of JSON. */
export function costOfSubmit({ steps }: Task): number {
  return steps.length + Math.floor(sum(steps.map(({ size }) => size)) / perOperation.bytes)
}

/** Returns the additional cost of operations that wrote many events or bytes to the log. */
export function costOfWrites(written: { events: number; bytes: number }[]): number {
  return sum(
    written.map(({ events, bytes }) =>
      Math.floor(Math.max(events / perOperation.events, bytes / perOperation.bytes))
    )
  )
}

export function costOfMerge(ms: number): number {
  return ms / perOperation.mergeMs
}

const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0)
