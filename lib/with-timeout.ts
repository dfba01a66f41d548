/** Rejects after `ms` milliseconds, for a peer that may never respond. Does not cancel the work behind `promise`. */
export async function withTimeout<T>(promise: Promise<T>, ms: number): Promise<T> {
  const timeout = Promise.withResolvers<never>()
  const timer = setTimeout(() => timeout.reject(new Error(`timed out after ${ms} ms`)), ms)
  try {
    return await Promise.race([promise, timeout.promise])
  } finally {
    clearTimeout(timer)
  }
}
