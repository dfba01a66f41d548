/**
 * A token bucket a client: `burst` at once, then `rate` a second (ITU-T I.371). Memory is bounded by the
 * clients of the last `burst / rate` seconds: a full bucket is forgotten.
 */
export function createTokenBuckets({ rate, burst }: { rate: number; burst: number }) {
  // When each bucket will be full again, in order of last use.
  const fullAt = new Map<string, number>()

  return {
    /**
     * Takes `count` from a client's bucket and answers how long to wait for them, milliseconds; or takes
     * nothing and answers that when it is more than `patienceMs`.
     */
    take(client: string, count: number, patienceMs: number, now = performance.now()): number {
      const full = Math.max(fullAt.get(client) ?? 0, now) + (count * 1000) / rate
      const wait = Math.max(0, full - now - (burst * 1000) / rate)
      if (wait > patienceMs) return wait
      fill(client, full, now)
      return wait
    },

    /** Takes `count` more from a client's bucket for what turned out later: the next `take` waits for it. */
    charge(client: string, count: number, now = performance.now()) {
      fill(client, Math.max(fullAt.get(client) ?? 0, now) + (count * 1000) / rate, now)
    }
  }

  function fill(client: string, full: number, now: number) {
    fullAt.delete(client)
    fullAt.set(client, full)
    forget(now)
  }

  function forget(now: number) {
    for (const [client, at] of fullAt) {
      if (at > now) break
      fullAt.delete(client)
    }
  }
}
