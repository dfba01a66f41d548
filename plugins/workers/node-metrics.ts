import { AggregatorRegistry, type MetricObjectWithValues, type MetricValue } from 'prom-client'

type Metrics = MetricObjectWithValues<MetricValue<string>>[]

/** Adds up the metrics of the processes of a node. `Key` identifies a worker. */
export function createNodeMetrics<Key>() {
  const latest = new Map<Key, Metrics>()
  /** the counters of the workers that have ended */
  let ended: Metrics[] = []

  return {
    /**
     * Returns the text of `GET /metrics` for these processes. For a process that did not respond, `undefined`, its last
     * values count.
     */
    async format(processes: Map<Key, Metrics | undefined>): Promise<string> {
      for (const [key, metrics] of processes) if (metrics) latest.set(key, metrics)
      const now = [...processes.keys()].map(key => latest.get(key) ?? [])
      if (ended.length > 1) ended = [await AggregatorRegistry.aggregate(ended).getMetricsAsJSON()]
      return AggregatorRegistry.aggregate([...now, ...ended]).metrics()
    },

    /** Keeps the counters of a worker that has ended: a sum that fell would look like many new events. */
    remove(key: Key): void {
      const counters = (latest.get(key) ?? []).filter(({ type }) => isCounter(String(type)))
      latest.delete(key)
      ended.push(counters)
    }
  }
}

function isCounter(type: string): boolean {
  return type === 'counter' || type === 'histogram'
}
