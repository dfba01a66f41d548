import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { withTimeout } from '../../lib/with-timeout.ts'
import type { Connections, ProcessConnections } from '../../schemas/connections.ts'
import type { Readiness } from '../../schemas/health.ts'
import { shutdownLimits } from '../http/shutdown.ts'
import { formatPage } from '../pubsub/page-queue.ts'
import { createSource } from '../pubsub/source.ts'
import { forkWorker, type Worker } from './fork.ts'
import { createNodeMetrics } from './node-metrics.ts'
import { readinessOfNode } from './node-readiness.ts'
import { sendPages } from './send-pages.ts'
import { createSharedLimits } from './shared-limits.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The workers of this node. Undefined in every process other than the primary of a node with several workers. */
    workers?: Awaited<ReturnType<typeof createWorkers>>
  }
}

const limits = {
  // A worker that reads slowly receives no further page. It reads the missing events from PostgreSQL.
  maxUnsentCharacters: 8 << 20,
  listeningMs: 1000,
  // Longer than the time after which /health/ready reports the database as down.
  replyMs: 1500,
  // The delay doubles with each start in a row of a worker that lives for less than a minute.
  restart: { firstMs: 100, maxMs: 10_000, stableMs: 60_000 },
  // Failures of a worker in a row, before it serves clients. Later ones may have a cause that passes, such as a database
  // that is down: these take 25 s or more.
  failures: { atStart: 3, later: 9 }
}

async function plugin(app: FastifyInstance) {
  const workers = await createWorkers(app)
  app.decorate('workers', workers)
  app.addHook('preClose', workers.drain)
  app.addHook('onClose', workers.close)
}

async function createWorkers(
  app: Pick<FastifyInstance, 'config' | 'database' | 'sql' | 'log' | 'metrics'>
) {
  const { config, database, log, metrics } = app
  const configOfWorker = { ...config, databaseUrl: database.url, listenUrl: database.listenUrl }
  const running = new Set<Worker>()
  const shared = createSharedLimits()
  const nodeMetrics = createNodeMetrics<Worker | 'primary'>()
  const closing = new AbortController()
  const started = Promise.withResolvers<string>()
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => {}) // `start` and `failed` report the same error
  let isStarted = false

  const source = await createSource(app)
  const stopPages = await sendPages(app, source, {
    onPage(page) {
      const text = formatPage(page)
      for (const { channel } of running) {
        if (channel.unsent < limits.maxUnsentCharacters) channel.sendText('page', text)
      }
    },
    onOutage(reason) {
      for (const { channel } of running) channel.notify('outage', reason)
    }
  })
  const listeningTimer = setInterval(() => {
    for (const worker of running) sendListening(worker)
  }, limits.listeningMs)

  return {
    /** Starts the workers. Returns the address at which they listen, or rejects when they cannot start. */
    start(): Promise<string> {
      for (let n = 0; n < config.workers; n++) void keepRunning()
      return Promise.race([started.promise, failed.promise])
    },

    /** Rejects when a worker ends again and again before it serves clients. */
    failed: failed.promise,

    /** Closes the workers and waits until they have ended. */
    async drain() {
      closing.abort()
      const timer = setTimeout(() => {
        for (const { kill } of running) kill()
      }, shutdownLimits.workersMs)
      for (const { channel } of running) channel.notify('close')
      await Promise.all([...running].map(({ ended }) => ended))
      clearTimeout(timer)
    },

    async close() {
      clearInterval(listeningTimer)
      await stopPages()
      await source.close()
    }
  }

  /** Starts a worker, and another one whenever it ends. */
  async function keepRunning() {
    let restarts = 0
    let failures = 0
    while (!closing.signal.aborted) {
      const startedAt = performance.now()
      const worker = startWorker()
      const cause = await worker.ended
      running.delete(worker)
      nodeMetrics.remove(worker)
      if (closing.signal.aborted) return
      failures = worker.isReady ? 0 : failures + 1
      if (failures >= (isStarted ? limits.failures.later : limits.failures.atStart)) {
        const times = `${failures} times in a row before it served clients`
        return failed.reject(new Error(`a worker ended ${times}, the last time with ${cause}`))
      }
      log.error({ worker: worker.pid, cause }, 'worker ended: starting another')
      metrics.workerRestarts.inc()
      if (performance.now() - startedAt > limits.restart.stableMs) restarts = 0
      const { firstMs, maxMs } = limits.restart
      await delay(Math.min(firstMs * 2 ** restarts++, maxMs), null, {
        signal: closing.signal
      }).catch(() => {})
    }
  }

  function startWorker(): Worker {
    const worker = forkWorker(pid => log.error({ worker: pid }, 'worker is frozen: killing it'))
    const { channel } = worker
    running.add(worker)
    worker.ended.then(shared.serve(channel))
    channel.handle('config', () => configOfWorker)
    channel.handle('ready', (address: string) => {
      worker.isReady = true
      sendListening(worker)
      const ready = [...running].filter(({ isReady }) => isReady)
      if (ready.length < config.workers) return
      isStarted = true
      started.resolve(address)
    })
    channel.handle('failed', (sentence: string) => {
      if (isStarted) log.error({ worker: worker.pid }, `worker does not start: ${sentence}`)
      else failed.reject(new Error(sentence))
    })
    channel.handle('awaited', source.onWait)
    channel.handle('metrics', formatMetrics)
    channel.handle('readiness', async () => {
      const responses = await callAll<Readiness>('readiness')
      const missing = Array(config.workers - responses.size).fill(undefined)
      return readinessOfNode([...responses.values(), ...missing])
    })
    channel.handle('connections', async (userId: string): Promise<Connections> => {
      const responses = await callAll<ProcessConnections>('connections', userId)
      const processes = [...responses.values()].filter(response => response !== undefined)
      return { processes, missing: config.workers - processes.length }
    })
    return worker
  }

  function sendListening({ channel }: Worker) {
    channel.notify('listening', source.isListening())
  }

  async function formatMetrics(): Promise<string> {
    const own = await metrics.registry.getMetricsAsJSON()
    const workers = await callAll<typeof own>('metrics')
    return nodeMetrics.format(
      new Map<Worker | 'primary', typeof own | undefined>([...workers, ['primary', own]])
    )
  }

  /** Returns what each worker returns, and undefined for a worker that does not respond in time. */
  async function callAll<T>(name: string, ...args: unknown[]): Promise<Map<Worker, T | undefined>> {
    const calls = [...running].map(async worker => {
      const reply = withTimeout(worker.channel.call<T>(name, ...args), limits.replyMs)
      return [worker, await reply.catch(() => undefined)] as const
    })
    return new Map(await Promise.all(calls))
  }
}

export default fp(plugin, {
  name: 'workers',
  dependencies: ['config', 'metrics', 'shutdown', 'database', 'pools', 'keys']
})
