/**
 * What `promise` resolves to, or an Error after `ms`: for peers that may be silent for ever, such as a
 * stopped process or a network that swallows packets. The work itself is not called off.
 */
export async function withTimeout<T>(promise: Promise<T>, ms: number): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`no answer within ${ms} ms`)), ms)
  try {
    return await Promise.race([promise, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
