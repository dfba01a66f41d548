/**
 * Resolves or rejects as `promise` does, and rejects with an Error after `ms`, for peers that may never respond: a
 * stopped process, a network that drops packets. Does not cancel the work behind `promise`.
 */
export async function withTimeout<T>(promise: Promise<T>, ms: number): Promise<T> {
  const timeout = Promise.withResolvers<never>()
  const timer = setTimeout(() => timeout.reject(new Error(`timed out after ${ms} ms`)), ms)
  try {
    return await Promise.race([promise, timeout.promise])
  } finally {
    clearTimeout(timer)
  }
}
