export type TokenBuckets = ReturnType<typeof createTokenBuckets>

/**
 * Returns one bucket of `burst` tokens for each client, which gains `rate` tokens per second. The algorithm is the
 * virtual scheduling of ITU-T I.371 (GCRA). Full buckets are deleted, so the memory is bounded by the number of clients
 * of the last `burst / rate` seconds.
 */
export function createTokenBuckets({ rate, burst }: { rate: number; burst: number }) {
  // The time at which the bucket of each client will be full, in order of last use.
  const fullAt = new Map<string, number>()

  return {
    /** Returns the milliseconds to wait for `count` tokens. Takes none when the wait is longer than `maxWaitMs`. */
    take(client: string, count: number, maxWaitMs: number, now = performance.now()): number {
      const full = Math.max(fullAt.get(client) ?? 0, now) + (count * 1000) / rate
      const wait = Math.max(0, full - now - (burst * 1000) / rate)
      if (wait > maxWaitMs) return wait
      store(client, full, now)
      return wait
    },

    /** Takes tokens even when the bucket has fewer, for work whose cost is known only after it is done. */
    charge(client: string, count: number, now = performance.now()) {
      store(client, Math.max(fullAt.get(client) ?? 0, now) + (count * 1000) / rate, now)
    }
  }

  function store(client: string, full: number, now: number) {
    fullAt.delete(client)
    fullAt.set(client, full)
    deleteFull(now)
  }

  function deleteFull(now: number) {
    for (const [client, at] of fullAt) {
      if (at > now) break
      fullAt.delete(client)
    }
  }
}
