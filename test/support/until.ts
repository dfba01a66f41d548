import { setTimeout as sleep } from 'node:timers/promises'

const limits = { untilMs: 10_000, pollMs: 20 }

/**
 * Waits until `condition` returns a truthy value, and returns that value. A condition that throws is
 * tried again; when the time is over, its last error is the cause of the error thrown.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  timeoutMs = limits.untilMs
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs
  let cause: unknown
  while (performance.now() < deadline) {
    try {
      const value = await condition()
      if (value) return value
    } catch (error) {
      cause = error
    }
    await sleep(limits.pollMs)
  }
  throw new Error(`not within ${timeoutMs} ms: ${condition}`, { cause })
}
