import { setTimeout as delay } from 'node:timers/promises'
import { TooOften } from './errors.ts'
import { createTokenBuckets } from './token-bucket.ts'

/**
 * Returns a limiter that delays each client to `rate` requests a second after a burst of `burst`, by at most
 * `maxWaitMs`.
 */
export function createRateLimiter(bucket: { rate: number; burst: number }, maxWaitMs: number) {
  const { take, charge } = createTokenBuckets(bucket)

  return {
    /**
     * Waits until a client may make `count` more requests. Throws TooOften with `retryAfter` in seconds, and counts
     * nothing, when the wait would be longer than `maxWaitMs`.
     */
    async wait(client: string, count: number): Promise<void> {
      const waitMs = take(client, count, maxWaitMs)
      if (waitMs > maxWaitMs) {
        throw Object.assign(new TooOften(), { retryAfter: Math.ceil(waitMs / 1000) })
      }
      if (waitMs > 0) await delay(waitMs)
    },

    /** Counts `count` more requests for a cost that is known only afterwards: the next `wait` takes longer. */
    charge
  }
}
