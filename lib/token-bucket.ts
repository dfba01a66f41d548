/**
 * Returns one token bucket for each client: it holds `burst` tokens and gets `rate` tokens a second. The algorithm
 * is the virtual scheduling of ITU-T I.371 (GCRA), which stores one time for each client: when its bucket will be
 * full. Full buckets are deleted, so that memory is bounded by the clients of the last `burst / rate` seconds.
 */
export function createTokenBuckets({ rate, burst }: { rate: number; burst: number }) {
  // When each bucket will be full again, in order of last use.
  const fullAt = new Map<string, number>()

  return {
    /**
     * Takes `count` tokens of a client and returns how many milliseconds it must wait for them. Takes none when
     * that is more than `maxWaitMs`.
     */
    take(client: string, count: number, maxWaitMs: number, now = performance.now()): number {
      const full = Math.max(fullAt.get(client) ?? 0, now) + (count * 1000) / rate
      const wait = Math.max(0, full - now - (burst * 1000) / rate)
      if (wait > maxWaitMs) return wait
      store(client, full, now)
      return wait
    },

    /**
     * Takes `count` tokens of a client, however few it has, for a cost that is known only afterwards: the next
     * `take` waits longer.
     */
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
