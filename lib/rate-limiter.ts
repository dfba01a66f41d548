import { setTimeout as delay } from 'node:timers/promises'
import { TooOften } from './errors.ts'
import { createTokenBuckets } from './token-bucket.ts'

/** Lets each client send `burst` requests at once, then delays it to `rate` requests per second. */
export function createRateLimiter(bucket: { rate: number; burst: number }, maxWaitMs: number) {
  const { take, charge } = createTokenBuckets(bucket)

  return {
    /** Throws TooOften with `retryAfter` in seconds, without counting, when the wait would exceed `maxWaitMs`. */
    async wait(client: string, count: number): Promise<void> {
      const waitMs = take(client, count, maxWaitMs)
      if (waitMs > maxWaitMs) {
        throw Object.assign(new TooOften(), { retryAfter: Math.ceil(waitMs / 1000) })
      }
      if (waitMs > 0) await delay(waitMs)
    },

    /** Counts work whose cost is known only after it is done. The next `wait` takes longer. */
    charge
  }
}
