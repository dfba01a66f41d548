/** How long a write retries to lock its rows, or to take the commit lock, before it is refused, milliseconds. */
export const lockWaitMs = 5000

const backOff = { stepMs: 50, maxMs: 250 }

/** Returns how long to wait before the next attempt, after `attempts` of them: 50, 100 … 250 ms. */
export function lockRetryMs(attempts: number): number {
  return Math.min(backOff.stepMs * attempts, backOff.maxMs)
}

/** Returns whether a statement failed because another transaction held a lock for longer than its lock_timeout. */
export function isLockTimeout(error: unknown): boolean {
  return (error as { code?: string }).code === '55P03'
}
