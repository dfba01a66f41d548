import type { FastifyInstance } from 'fastify'

/** Returns the value of a metric of a node; see `metricIn`. */
export async function readMetric(app: FastifyInstance, series: string): Promise<number> {
  const { payload } = await app.inject('/metrics')
  return metricIn(payload, series)
}

/**
 * Returns the value of a series in the text of `GET /metrics`: `name{label="x"}` for one, `name` for the sum over all
 * labels of that name; 0 when there is none. Throws when there is no metric of this name.
 */
export function metricIn(text: string, series: string): number {
  const name = series.replace(/\{.*|_(count|sum)$/g, '')
  if (!text.includes(`# TYPE ${name} `)) throw new Error(`no metric is called ${name}`)
  return text
    .split('\n')
    .filter(line => line.startsWith(`${series} `) || line.startsWith(`${series}{`))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}
