import type { FastifyInstance } from 'fastify'

/** Returns the value of a metric of a node; see `metricIn`. */
export async function readMetric(app: FastifyInstance, series: string): Promise<number> {
  const { payload } = await app.inject('/metrics')
  return metricIn(payload, series)
}

/**
 * Returns the value of a series in the text of `GET /metrics`: `name{label="x"}` for one, `name` for the sum over all
 * labels of that name. Returns NaN when there is no such series.
 */
export function metricIn(text: string, series: string): number {
  const values = text
    .split('\n')
    .filter(line => line.startsWith(`${series} `) || line.startsWith(`${series}{`))
    .map(line => Number(line.split(' ').at(-1)))
  return values.length === 0 ? Number.NaN : values.reduce((sum, value) => sum + value)
}
