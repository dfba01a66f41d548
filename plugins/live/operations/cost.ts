import type { Task } from './task.ts'

// What exceeds these counts as further operations in the rate limit of its user.
const perOperation = { bytes: 16 << 10, events: 10, mergeMs: 5 }

/** Returns the cost of a task before it is decided: its operations, and one more for each 16 KiB. */
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

/** Returns the additional cost of a merge that took `ms` milliseconds. */
export function costOfMerge(ms: number): number {
  return ms / perOperation.mergeMs
}

const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0)
