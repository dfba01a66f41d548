/** The time in milliseconds after which a write is refused because it cannot lock its rows or take the commit lock. */
export const lockWaitMs = 5000

const backOff = { stepMs: 50, maxMs: 250 }

/** Returns how long to wait after `attempts` failed attempts to take a lock: 50, 100 … 250 ms. */
export function lockRetryMs(attempts: number): number {
  return Math.min(backOff.stepMs * attempts, backOff.maxMs)
}

export function isLockTimeout(error: unknown): boolean {
  return (error as { code?: string }).code === '55P03'
}
