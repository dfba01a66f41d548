const backoff = { leastMs: 250, mostMs: 15_000 }

/**
 * Returns a random time before the next try, in milliseconds, after `attempt` tries that failed. All times up to the
 * bound are equally likely ("full jitter"), so that clients that lost the same service do not return together.
 */
export function backoffDelay(attempt: number): number {
  return Math.random() * Math.min(backoff.mostMs, backoff.leastMs * 2 ** attempt)
}
