import fp from 'fastify-plugin'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

declare module 'fastify' {
  interface FastifyInstance {
    metrics: Metrics
  }
}

export type Metrics = ReturnType<typeof createMetrics>

/** What operators can see, each number in one place; `GET /metrics` shows it. */
export default fp(
  async app => {
    const metrics = createMetrics()
    // Of the process and of Node: memory, CPU, the delay of the event loop, garbage collection.
    collectDefaultMetrics({ register: metrics.registry })
    app.decorate('metrics', metrics)
  },
  { name: 'metrics' }
)

function createMetrics() {
  const registers = [new Registry()]
  const [registry] = registers as [Registry]
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    new Counter({ name: `concord_${name}`, help, labelNames, registers })

  return {
    registry,
    latency: new Histogram({
      name: 'concord_commit_to_write_seconds',
      help: 'From the commit of an event, by the clock of the database, until it was written to every subscriber',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers
    }),
    bells: counter('bells_total', 'Doorbells heard'),
    looks: counter('log_reads_total', 'Looks into the log'),
    outage: counter('outage_seconds_total', 'Time in which the log could not be read'),
    revHoles: counter('rev_holes_total', 'Revisions that did not follow the one before: must be 0'),
    catchUps: counter('catch_ups_total', 'Pieces of the past, by where they were read', ['from']),
    resets: counter('resets_total', 'Streams and lists whose place in the log was unknown', [
      'reason'
    ]),
    slow: counter('slow_clients_total', 'Clients that were cut off because they did not read', [
      'kind'
    ]),
    revocations: counter('revocations_total', 'Rights that were taken or changed on open sockets', [
      'reason'
    ]),
    sessions: counter('sessions_ended_total', 'Ends of sessions told to streams and sockets'),

    /** A number that is asked for when somebody looks. */
    gauge(name: string, help: string, read: () => number): void {
      new Gauge({
        name: `concord_${name}`,
        help,
        registers,
        collect() {
          this.set(read())
        }
      })
    },

    /** How many there are at each place. */
    places(
      name: string,
      help: string,
      all: string[],
      read: () => Iterable<{ place: string }>
    ): void {
      new Gauge({
        name: `concord_${name}`,
        help,
        labelNames: ['place'],
        registers,
        collect() {
          for (const place of all) this.set({ place }, 0)
          for (const { place } of read()) this.inc({ place })
        }
      })
    }
  }
}
