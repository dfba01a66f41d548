/** The events of a batch that a subscriber receives, and the sum of their bytes. */
export interface Selection<E> {
  events: readonly E[]
  bytes: number
}

/**
 * Returns a function that returns the events of a subscriber: those with the subscriber in one of `setsOf(event)`.
 * Subscribers of the same events receive the same array, so that its bytes can be made once. A batch has at most 31 events.
 */
export function createSelector<S, E extends { bytes: number }>(
  batch: readonly E[],
  setsOf: (event: E) => readonly ReadonlySet<S>[]
): (subscriber: S) => Selection<E> {
  /** Events with the same sets. Bit n of `mask` stands for event n of the batch. */
  const groups: { sets: readonly ReadonlySet<S>[]; mask: number }[] = []
  const selections = new Map<number, Selection<E>>()
  for (const [n, event] of batch.entries()) {
    const sets = setsOf(event)
    const group = groups.find(other => areEqual(other.sets, sets))
    if (group) group.mask |= 1 << n
    else groups.push({ sets, mask: 1 << n })
  }

  return subscriber => {
    let mask = 0
    for (const group of groups) if (contains(group.sets, subscriber)) mask |= group.mask
    return selections.get(mask) ?? select(mask)
  }

  function select(mask: number): Selection<E> {
    const events = batch.filter((_, n) => mask & (1 << n))
    const selection = { events, bytes: events.reduce((sum, { bytes }) => sum + bytes, 0) }
    selections.set(mask, selection)
    return selection
  }
}

function contains<S>(sets: readonly ReadonlySet<S>[], subscriber: S): boolean {
  for (const set of sets) if (set.has(subscriber)) return true
  return false
}

function areEqual<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((one, n) => one === b[n])
}
