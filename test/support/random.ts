export type Random = ReturnType<typeof createRandom>

/** Returns a pseudo-random generator that repeats its numbers for the same seed (mulberry32, by Tommy Ettinger). */
export function createRandom(seed: number) {
  let state = seed >>> 0

  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }

  const upTo = (count: number) => Math.floor(next() * count)

  return {
    /** Returns a number in [0, 1). */
    next,

    /** Returns an integer from 0 to count - 1. */
    upTo,

    chance: (probability: number) => next() < probability,

    pick: <T>(values: readonly T[]) => values[upTo(values.length)] as T,

    shuffled<T>(values: readonly T[]): T[] {
      const rest = [...values]
      return values.map(() => rest.splice(upTo(rest.length), 1)[0] as T)
    }
  }
}
