import { setTimeout as delay } from 'node:timers/promises'
import { TooOften } from './errors.ts'
/** Token buckets of this process, or of another one. See lib/token-bucket.ts. */
export interface TokenBuckets {
  take(client: string, count: number, maxWaitMs: number): number | Promise<number>
  charge(client: string, count: number): void
}

export type RateLimiter = ReturnType<typeof createRateLimiter>

/** Lets each client send as many requests at once as its bucket has tokens, then delays it to the rate of the bucket. */
export function createRateLimiter({ take, charge }: TokenBuckets, maxWaitMs: number) {
  return {
    /** Throws TooOften with `retryAfter` in seconds, without counting, when the wait would exceed `maxWaitMs`. */
    async wait(client: string, count: number): Promise<void> {
      const waitMs = await take(client, count, maxWaitMs)
      if (waitMs > maxWaitMs) {
        throw Object.assign(new TooOften(), { retryAfter: Math.ceil(waitMs / 1000) })
      }
      if (waitMs > 0) await delay(waitMs)
    },

    /** Counts work whose cost is known only after it is done. The next `wait` takes longer. */
    charge
  }
}
