/** Watches numbers that count 1, 2, 3 …, of at most `max` things: the ones that moved last. */
export function createSequences(max: number) {
  const last = new Map<string, number>()

  return {
    /** Whether a number follows the one before; the first of a thing always does. */
    isNext(name: string, value: number): boolean {
      const before = last.get(name)
      last.delete(name)
      last.set(name, value)
      const [oldest] = last.keys()
      if (last.size > max && oldest !== undefined) last.delete(oldest)
      return before === undefined || value === before + 1
    },

    reset() {
      last.clear()
    }
  }
}
