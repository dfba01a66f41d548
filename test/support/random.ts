export type Random = ReturnType<typeof createRandom>

/** Numbers that look random and are the same for the same seed (mulberry32, by Tommy Ettinger). */
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
    /** In [0, 1). */
    next,

    /** 0, 1, … count - 1. */
    upTo,

    chance: (probability: number) => next() < probability,

    pick: <T>(values: readonly T[]) => values[upTo(values.length)] as T,

    shuffled<T>(values: readonly T[]): T[] {
      const rest = [...values]
      return values.map(() => rest.splice(upTo(rest.length), 1)[0] as T)
    }
  }
}
