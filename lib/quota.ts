/** Counts the open connections of each holder, such as the streams of a user. */
export function createQuota(max: number) {
  const counts = new Map<string, number>()

  return {
    count: (holder: string): number => counts.get(holder) ?? 0,

    isUsedUp: (holder: string): boolean => (counts.get(holder) ?? 0) >= max,

    /** Counts one more connection. Does not check the maximum. */
    take(holder: string): void {
      counts.set(holder, (counts.get(holder) ?? 0) + 1)
    },

    release(holder: string): void {
      const count = (counts.get(holder) ?? 0) - 1
      if (count > 0) counts.set(holder, count)
      else counts.delete(holder)
    }
  }
}
