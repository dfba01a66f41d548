import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import {
  type Aggregator,
  Counter,
  collectDefaultMetrics,
  Gauge,
  Histogram,
  Registry
} from 'prom-client'

declare module 'fastify' {
  interface FastifyInstance {
    metrics: Metrics
  }
}

export type Metrics = ReturnType<typeof createMetrics>

async function plugin(app: FastifyInstance) {
  const metrics = createMetrics()
  const { registry } = metrics
  collectDefaultMetrics({ register: registry })
  app.decorate('metrics', metrics)
  app.primary?.handle('metrics', () => registry.getMetricsAsJSON())
}

function createMetrics() {
  const registers = [new Registry()]
  const [registry] = registers as [Registry]
  const counter = <Label extends string>(
    name: string,
    help: string,
    labelNames: Label[] = [],
    aggregator: Aggregator = 'sum'
  ) => new Counter({ name: `concord_${name}`, help, labelNames, registers, aggregator })

  /** the numbers of waiting jobs, by queue */
  const queues = new Map<string, () => number>()
  new Gauge({
    name: 'concord_queue_waiting',
    help: 'Jobs that wait for their turn, by queue',
    labelNames: ['queue'],
    registers,
    collect() {
      for (const [queue, read] of queues) this.set({ queue }, read())
    }
  })

  return {
    registry,
    requestSeconds: new Histogram({
      name: 'concord_http_request_seconds',
      help: 'Seconds from a request to the end of its response, without streams and sockets',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.005, 0.025, 0.1, 0.5, 2.5, 10],
      registers
    }),
    poolSeconds: new Gauge({
      name: 'concord_pool_response_seconds',
      help: 'Seconds that `select 1` took, sent every 5 s through a pool, with its wait for a connection',
      labelNames: ['pool'],
      registers,
      aggregator: 'max'
    }),
    deliverySeconds: new Histogram({
      name: 'concord_commit_to_write_seconds',
      help: 'Seconds from the commit of an event, by the clock of the database, until it was written to every subscriber',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers
    }),
    notifications: counter(
      'notifications_total',
      'Notifications received on the LISTEN connection'
    ),
    listenerConnects: counter('listener_connects_total', 'Connects of the LISTEN connection'),
    logReads: counter('log_reads_total', 'Pages of the log read for delivery'),
    outageSeconds: counter(
      'outage_seconds_total',
      'Seconds in which the log could not be read',
      [],
      'max'
    ),
    revisionGaps: counter(
      'revision_gaps_total',
      'Events whose revision did not follow the previous one of their checklist: must be 0'
    ),
    catchUps: counter(
      'catch_ups_total',
      'Pages of past events read for subscribers that catch up',
      ['from']
    ),
    resets: counter('resets_total', 'Resets sent because a cursor or revision was unknown', [
      'reason'
    ]),
    slowClients: counter(
      'slow_clients_total',
      'Connections closed because the client read too slowly',
      ['kind']
    ),
    revocations: counter('revocations_total', 'Messages `revoked` sent on open sockets', [
      'reason'
    ]),
    sessionsEnded: counter(
      'sessions_ended_total',
      'Streams and sockets closed because their session had ended'
    ),

    foreignPages: counter(
      'foreign_pages_total',
      'Messages on the NATS subject of the log that no node with this format and JWT_SECRET has sent'
    ),
    workerRestarts: counter(
      'worker_restarts_total',
      'Workers that ended without a shutdown and were started again'
    ),

    /** Registers a gauge whose value is read at each scrape. `aggregator` makes one value of those of the workers. */
    gauge(name: string, help: string, read: () => number, aggregator: Aggregator = 'sum'): void {
      new Gauge({
        name: `concord_${name}`,
        help,
        registers,
        aggregator,
        collect() {
          this.set(read())
        }
      })
    },

    /** Shows the number of jobs that wait in a queue at each scrape. */
    queue(name: string, read: () => number): void {
      queues.set(name, read)
    },

    /** Registers a gauge that counts connections by their state at each scrape. */
    states<State extends string>(
      name: string,
      help: string,
      states: readonly State[],
      read: () => Iterable<{ state: State }>
    ): void {
      new Gauge({
        name: `concord_${name}`,
        help,
        labelNames: ['state'],
        registers,
        collect() {
          for (const state of states) this.set({ state }, 0)
          for (const { state } of read()) this.inc({ state })
        }
      })
    }
  }
}

export default fp(plugin, { name: 'metrics', dependencies: ['config'] })
