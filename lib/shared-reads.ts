import type { Limiter } from './limiter.ts'

interface Waiter<V> extends PromiseWithResolvers<V> {
  userId: string
  /** the calls of this user that wait for their turn */
  calls: number
  /** whether a read for this user has begun */
  isTaken: boolean
}

/** Reads the values of several users from one source, in the order of `userIds`. An Error refuses its user only. */
export type ReadForUsers<V> = (source: string, userIds: string[]) => Promise<(V | Error)[]>

/**
 * Returns a function that reads the value of a user from a source, such as a checklist, when it is the turn of that user.
 * One read also serves the other users who wait for the same source then, `max` in all. It always begins after the call.
 * Two reads of one source never run at once, because more users join the second one while the first one runs.
 */
export function createSharedReads<V>(limit: Limiter, read: ReadForUsers<V>, max: number) {
  /** The users who wait, by source. */
  const sources = new Map<string, Map<string, Waiter<V>>>()
  /** The reads that are running, by source. */
  const running = new Map<string, Promise<void>>()

  return async (source: string, userId: string, signal?: AbortSignal): Promise<V> => {
    const waiter = wait(source, userId)
    waiter.calls++
    try {
      await limit(() => readOnce(source, waiter), userId, signal)
    } finally {
      waiter.calls--
      if (waiter.calls === 0 && !waiter.isTaken) take(source, [waiter])
    }
    return waiter.promise
  }

  function wait(source: string, userId: string): Waiter<V> {
    const waiting = sources.get(source) ?? new Map<string, Waiter<V>>()
    sources.set(source, waiting)
    const waiter = waiting.get(userId) ?? {
      ...Promise.withResolvers<V>(),
      userId,
      calls: 0,
      isTaken: false
    }
    waiter.promise.catch(() => {}) // the callers may still wait for their turn when the read fails
    waiting.set(userId, waiter)
    return waiter
  }

  async function readOnce(source: string, waiter: Waiter<V>) {
    while (!waiter.isTaken && running.has(source)) await running.get(source)
    if (waiter.isTaken) return
    const reading = readFor(source, waiter).finally(() => running.delete(source))
    running.set(source, reading)
    await reading
  }

  async function readFor(source: string, first: Waiter<V>) {
    const others = [...(sources.get(source)?.values() ?? [])].filter(one => one !== first)
    const batch = [first, ...others.slice(0, max - 1)]
    take(source, batch)
    try {
      const values = await read(
        source,
        batch.map(({ userId }) => userId)
      )
      for (const [n, { resolve, reject }] of batch.entries()) {
        const value = values[n]
        if (value instanceof Error) reject(value)
        else resolve(value as V)
      }
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }

  function take(source: string, batch: Waiter<V>[]) {
    const waiting = sources.get(source)
    for (const waiter of batch) {
      waiter.isTaken = true
      waiting?.delete(waiter.userId)
    }
    if (waiting?.size === 0) sources.delete(source)
  }
}
