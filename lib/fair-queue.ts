/** Returns a queue that takes the items of its users in turn (round robin, as in Nagle's RFC 970). */
export function createFairQueue<T>() {
  /** The first user in this map has the next turn. */
  const queues = new Map<string, T[]>()

  return {
    push(user: string, item: T) {
      const queue = queues.get(user)
      if (queue) queue.push(item)
      else queues.set(user, [item])
    },

    unshift(user: string, item: T) {
      queues.set(user, [item, ...(queues.get(user) ?? [])])
    },

    /**
     * Removes one item of each user, then a second item of each user, and so on, until `isFull` returns true. An item
     * for which `select` returns undefined stays in the queue. Returns the results of `select`. Users with removed
     * items have their next turn after all other users.
     */
    take<R>(select: (item: T) => R | undefined, isFull: () => boolean): R[] {
      const selected: R[] = []
      const taken = new Set<T>()
      const served = new Set<string>()
      const remaining = new Map([...queues].map(([user, queue]) => [user, queue.values()] as const))
      while (remaining.size > 0 && !isFull()) {
        for (const [user, items] of remaining) {
          if (isFull()) break
          if (takeOne(items)) served.add(user)
          else remaining.delete(user)
        }
      }
      remove(taken, served)
      return selected

      function takeOne(items: ArrayIterator<T>): boolean {
        for (let next = items.next(); !next.done; next = items.next()) {
          const result = select(next.value)
          if (result === undefined) continue
          selected.push(result)
          taken.add(next.value)
          return true
        }
        return false
      }
    },

    get isEmpty() {
      return queues.size === 0
    },

    count(): number {
      return [...queues.values()].flat().length
    }
  }

  function remove(taken: Set<T>, served: Set<string>) {
    for (const user of served) {
      const rest = (queues.get(user) ?? []).filter(item => !taken.has(item))
      queues.delete(user)
      if (rest.length > 0) queues.set(user, rest)
    }
  }
}
