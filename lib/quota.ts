/** How many each may hold at once, such as the open streams of a user. */
export function createQuota(most: number) {
  const held = new Map<string, number>()

  return {
    isUsedUp: (holder: string): boolean => (held.get(holder) ?? 0) >= most,

    /** Counts one more, which it does not refuse. */
    take(holder: string): void {
      held.set(holder, (held.get(holder) ?? 0) + 1)
    },

    giveBack(holder: string): void {
      const rest = (held.get(holder) ?? 0) - 1
      if (rest > 0) held.set(holder, rest)
      else held.delete(holder)
    }
  }
}
