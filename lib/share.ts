/** Returns the part of a limit of a node that each of its workers gets: rounded up, and not less than `least`. */
export function shareOf(limit: number, workers: number, least = 1): number {
  return Math.max(least, Math.ceil(limit / workers))
}

/** Returns the share of each of several limits. */
export function shareOfEach<Limits extends Record<string, number>>(
  limits: Limits,
  workers: number
): Limits {
  const shares = Object.entries(limits).map(([name, limit]) => [name, shareOf(limit, workers)])
  return Object.fromEntries(shares) as Limits
}
