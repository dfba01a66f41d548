import { percentile } from '../support/statistics.ts'

/** The duration of one measurement, and the reason when it failed. */
export interface Sample {
  ms: number
  failure?: string
}

/** A summary of samples, in milliseconds. */
export interface Figures {
  count: number
  p50: number
  p99: number
  max: number
  /** number of failures by reason */
  failures: Record<string, number>
}

/** The target for the probe: p99 below `ratio` times the p99 before the attack, and no latency above `maxMs`. */
export const target = { ratio: 3, maxMs: 1000 }

export function summarize(samples: Sample[]): Figures {
  const durations = samples.map(({ ms }) => ms)
  const failures = Object.groupBy(
    samples.filter(({ failure }) => failure),
    ({ failure }) => failure as string
  )
  return {
    count: durations.length,
    p50: percentile(durations, 0.5),
    p99: percentile(durations, 0.99),
    max: durations.length > 0 ? Math.max(...durations) : Number.NaN,
    failures: Object.fromEntries(
      Object.entries(failures).map(([failure, all]) => [failure, all?.length ?? 0])
    )
  }
}

/**
 * Returns a message for each part of the target that the latencies during an attack miss, and for each kind of failure.
 */
export function findMisses(before: Figures, during: Figures): string[] {
  const ratio = during.p99 / before.p99
  return [
    ...(ratio < target.ratio ? [] : [`p99 × ${ratio.toFixed(1)}`]),
    ...(during.max <= target.maxMs ? [] : [`maximum ${(during.max / 1000).toFixed(1)} s`]),
    ...Object.entries(during.failures).map(([failure, count]) => `${count} × ${failure}`)
  ]
}
