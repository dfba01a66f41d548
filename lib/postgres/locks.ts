const rest = { stepMs: 50, mostMs: 250 }

/** How long a write tries to get rows, or the commit lock, that another transaction holds. */
export const busyMs = 5000

/** Returns whether a statement failed because another transaction held a lock for longer than its lock_timeout. */
export function isLocked(error: unknown): boolean {
  return (error as { code?: string }).code === '55P03'
}

/** Returns how long to rest before the next try, after `count` of them: 50, 100 … 250 ms. */
export function restMs(count: number): number {
  return Math.min(rest.stepMs * count, rest.mostMs)
}
