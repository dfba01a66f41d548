import { setTimeout as delay } from 'node:timers/promises'
import { TooOften } from './errors.ts'
import { createTokenBuckets } from './token-bucket.ts'

/** Limits how fast each client goes: `burst` at once, then `rate` a second. */
export function createRateLimiter(bucket: { rate: number; burst: number }, patienceMs: number) {
  const { take, charge } = createTokenBuckets(bucket)

  return {
    /**
     * Waits until a client may do `count` more. Throws TooOften with the seconds to wait, and counts nothing, when
     * that takes longer than `patienceMs`.
     */
    async keep(client: string, count: number): Promise<void> {
      const wait = take(client, count, patienceMs)
      if (wait > patienceMs) {
        throw Object.assign(new TooOften(), { retryAfter: Math.ceil(wait / 1000) })
      }
      if (wait > 0) await delay(wait)
    },

    /** Counts what turned out later: the next `keep` waits for it. */
    charge
  }
}
