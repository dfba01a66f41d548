export interface Limits {
  /** jobs that run at once */
  running: number
  /** jobs that wait, in all and of one key */
  waiting: number
  waitingEach?: number
  /** how long a job waits at most */
  waitMs: number
}

/**
 * Returns a function that runs jobs, `running` at once. Keys with waiting jobs take turns, one job each, so
 * that a key with many jobs delays the others by one job a turn. Throws what `refuse` makes, without running
 * the job, when too many wait or the job has waited for `waitMs`. A job whose `signal` aborts before its turn is
 * not run, and leaves its place.
 */
export function createLimiter(
  { running, waiting, waitingEach = waiting, waitMs }: Limits,
  refuse: () => Error
) {
  /** The functions that start waiting jobs, by key; the first key has the next turn. */
  const lines = new Map<string, Set<() => void>>()
  let free = running
  let count = 0

  return async function run<T>(job: () => Promise<T>, key = '', signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted()
    if (free > 0) free--
    else await turn(key, signal)
    try {
      return await job()
    } finally {
      next()
    }
  }

  async function turn(key: string, signal?: AbortSignal): Promise<void> {
    const line = lines.get(key) ?? new Set()
    if (count >= waiting || line.size >= waitingEach) throw refuse()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(() => giveUp(refuse()), waitMs)
    const onAbort = () => giveUp(signal?.reason)
    signal?.addEventListener('abort', onAbort)
    lines.set(key, line.add(resolve))
    count++
    await promise.finally(() => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    })

    function giveUp(reason: unknown) {
      leave(key, resolve)
      reject(reason)
    }
  }

  // The place of a finished job goes straight to the next one: a newcomer cannot take it in between.
  function next(): void {
    const [key, line] = lines.entries().next().value ?? []
    const [start] = line ?? []
    if (key === undefined || !line || !start) {
      free++
      return
    }
    leave(key, start)
    // The turn passes on: this key is the last one now.
    if (lines.delete(key)) lines.set(key, line)
    start()
  }

  function leave(key: string, start: () => void): void {
    const line = lines.get(key)
    line?.delete(start)
    if (line?.size === 0) lines.delete(key)
    count--
  }
}
