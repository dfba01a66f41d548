export interface LimiterOptions {
  /** jobs that run at once */
  maxRunning: number
  /** jobs that wait, of all keys and of one key */
  maxWaiting: number
  maxWaitingPerKey?: number
  maxWaitMs: number
}

/**
 * Returns a function that runs jobs, at most `maxRunning` at once. The keys of waiting jobs are served in turn, one
 * job each, so that a key with many jobs delays the others by one job a round. Throws the error of `createError`,
 * without running the job, when too many jobs wait or the job has waited for `maxWaitMs`. A waiting job whose
 * `signal` aborts is removed, and rejects with the reason of the signal.
 */
export function createLimiter(
  { maxRunning, maxWaiting, maxWaitingPerKey = maxWaiting, maxWaitMs }: LimiterOptions,
  createError: () => Error
) {
  /** The functions that start waiting jobs, by key; the first key has the next turn. */
  const queues = new Map<string, Set<() => void>>()
  let free = maxRunning
  let waiting = 0

  return async function run<T>(job: () => Promise<T>, key = '', signal?: AbortSignal): Promise<T> {
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

  // Starts the next job instead of raising `free`, so that a new job cannot start before a waiting one.
  function startNext(): void {
    const [key, queue] = queues.entries().next().value ?? []
    const [start] = queue ?? []
    if (key === undefined || !queue || !start) {
      free++
      return
    }
    remove(key, start)
    // Moves the key to the end of the order.
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
