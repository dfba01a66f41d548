export type Limiter = ReturnType<typeof createLimiter>

export interface LimiterOptions {
  maxRunning: number
  maxWaiting: number
  maxWaitingPerKey?: number
  maxWaitMs: number
}

/**
 * Returns a function that runs jobs, at most `maxRunning` at the same time. Waiting jobs start in turn by key, so that
 * a key with many jobs delays the other keys by only one job per round. Throws the error of `createError` when too many
 * jobs wait or when the job has waited for `maxWaitMs`. When `signal` aborts a waiting job, rejects with its reason.
 * `countWaiting` returns the number of waiting jobs.
 */
export function createLimiter(
  { maxRunning, maxWaiting, maxWaitingPerKey = maxWaiting, maxWaitMs }: LimiterOptions,
  createError: () => Error
) {
  /** The functions that start waiting jobs. The first key in this map has the next turn. */
  const queues = new Map<string, Set<() => void>>()
  let free = maxRunning
  let waiting = 0

  run.countWaiting = () => waiting
  return run

  async function run<T>(job: () => Promise<T>, key = '', signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted()
    if (free > 0) free--
    else await waitForTurn(key, signal)
    try {
      return await job()
    } finally {
      startNext()
    }
  }

  async function waitForTurn(key: string, signal?: AbortSignal): Promise<void> {
    const queue = queues.get(key) ?? new Set()
    if (waiting >= maxWaiting || queue.size >= maxWaitingPerKey) throw createError()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(() => cancel(createError()), maxWaitMs)
    const onAbort = () => cancel(signal?.reason)
    signal?.addEventListener('abort', onAbort)
    queues.set(key, queue.add(resolve))
    waiting++
    await promise.finally(() => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    })

    function cancel(reason: unknown) {
      remove(key, resolve)
      reject(reason)
    }
  }

  // While jobs wait, `free` stays at 0 and the next job starts at once: a new job cannot overtake a waiting one.
  function startNext(): void {
    const [key, queue] = queues.entries().next().value ?? []
    const [start] = queue ?? []
    if (key === undefined || !queue || !start) {
      free++
      return
    }
    remove(key, start)
    // the key has its next turn after all other keys
    if (queues.delete(key)) queues.set(key, queue)
    start()
  }

  function remove(key: string, start: () => void): void {
    const queue = queues.get(key)
    queue?.delete(start)
    if (queue?.size === 0) queues.delete(key)
    waiting--
  }
}
