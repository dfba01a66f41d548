export type Turns<T> = ReturnType<typeof createTurns<T>>

/** Waiting work of many users, taken in turn: one piece of each, however much one of them has waiting. */
export function createTurns<T>() {
  /** The users in the order of their turns. */
  const queues = new Map<string, T[]>()

  return {
    /** Puts work behind the other work of its user. */
    add(user: string, work: T) {
      const queue = queues.get(user)
      if (queue) queue.push(work)
      else queues.set(user, [work])
    },

    /** Puts work before the other work of its user. */
    putBack(user: string, work: T) {
      queues.set(user, [work, ...(queues.get(user) ?? [])])
    },

    /**
     * Takes the work that `accept` returns something for, and returns that, until `isFull`: one piece of every user,
     * then one more of every user. Users whose work was taken have their next turn after all others.
     */
    take<R>(accept: (work: T) => R | undefined, isFull: () => boolean): R[] {
      const accepted: R[] = []
      const taken = new Set<T>()
      const served = new Set<string>()
      const left = new Map([...queues].map(([user, queue]) => [user, queue.values()] as const))
      while (left.size > 0 && !isFull()) {
        for (const [user, rest] of left) {
          if (isFull()) break
          if (takeOne(rest)) served.add(user)
          else left.delete(user)
        }
      }
      remove(taken, served)
      return accepted

      function takeOne(rest: ArrayIterator<T>): boolean {
        for (let next = rest.next(); !next.done; next = rest.next()) {
          const result = accept(next.value)
          if (result === undefined) continue
          accepted.push(result)
          taken.add(next.value)
          return true
        }
        return false
      }
    },

    /** Returns whether nothing waits. */
    get isEmpty() {
      return queues.size === 0
    }
  }

  function remove(taken: Set<T>, served: Set<string>) {
    for (const user of served) {
      const rest = (queues.get(user) ?? []).filter(work => !taken.has(work))
      queues.delete(user)
      if (rest.length > 0) queues.set(user, rest)
    }
  }
}
