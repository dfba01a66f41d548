import { setTimeout as delay } from 'node:timers/promises'
import { TooOften } from './errors.ts'
import { createTokenBuckets } from './token-bucket.ts'

/**
 * Returns a limiter that lets each client send `burst` requests at once, and then delays it to `rate` requests per
 * second. The delay is at most `maxWaitMs`.
 */
export function createRateLimiter(bucket: { rate: number; burst: number }, maxWaitMs: number) {
  const { take, charge } = createTokenBuckets(bucket)

  return {
    /**
     * Waits until a client may make `count` more requests. When the wait would be longer than `maxWaitMs`, throws
     * TooOften with `retryAfter` in seconds, and does not count the requests.
     */
    async wait(client: string, count: number): Promise<void> {
      const waitMs = take(client, count, maxWaitMs)
      if (waitMs > maxWaitMs) {
        throw Object.assign(new TooOften(), { retryAfter: Math.ceil(waitMs / 1000) })
      }
      if (waitMs > 0) await delay(waitMs)
    },

    /**
     * Counts `count` requests without waiting, for work whose cost is known only after it is done. The next `wait`
     * takes longer.
     */
    charge
  }
}
