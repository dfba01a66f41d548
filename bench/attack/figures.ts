/** How long one measurement took, and what went wrong with it. */
export interface Sample {
  ms: number
  failure?: string
}

/** Samples in milliseconds, summed up. */
export interface Figures {
  count: number
  p50: number
  p99: number
  worst: number
  /** How often each failure occurred. */
  failures: Record<string, number>
}

/** The aim for a bystander: p99 below `ratio` × that of the quiet interval, and nothing above `worstMs`. */
export const aim = { ratio: 3, worstMs: 1000 }

export function figuresOf(samples: Sample[]): Figures {
  const sorted = samples.map(({ ms }) => ms).sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN
  const failures = Object.groupBy(
    samples.filter(({ failure }) => failure),
    ({ failure }) => failure as string
  )
  return {
    count: sorted.length,
    p50: at(0.5),
    p99: at(0.99),
    worst: sorted.at(-1) ?? Number.NaN,
    failures: Object.fromEntries(
      Object.entries(failures).map(([failure, some]) => [failure, some?.length ?? 0])
    )
  }
}

/** Returns in which ways figures miss the aim, in words; none when they meet it. */
export function missesOf(quiet: Figures, attacked: Figures): string[] {
  const ratio = attacked.p99 / quiet.p99
  return [
    ...(ratio < aim.ratio ? [] : [`p99 ×${ratio.toFixed(1)}`]),
    ...(attacked.worst <= aim.worstMs ? [] : [`worst ${(attacked.worst / 1000).toFixed(1)} s`]),
    ...Object.entries(attacked.failures).map(([failure, count]) => `${count} × ${failure}`)
  ]
}
