import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { TooBusy } from '../../lib/errors.ts'
import { createLimiter } from '../../lib/limiter.ts'
import { shareOfEach } from '../../lib/share.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Limits how many queries for past events and whole checklists run at once (half the pool), so that requests still
     * get a connection when thousands of clients reconnect. Users take turns. Throws TooBusy when 1,000 queries of this
     * user or 10,000 of all users wait, and after a wait of 30 s. Does not run a query whose `signal` aborts first.
     */
    catchUpLimit<T>(userId: string, query: () => Promise<T>, signal?: AbortSignal): Promise<T>
  }
}

/** Of a node; each worker gets its share. */
const limits = { maxRunning: 4, maxWaiting: 10_000, maxWaitingPerKey: 1000 }

const maxWaitMs = 30_000

async function catchUp(app: FastifyInstance) {
  const { config, metrics } = app
  const { maxRunning, maxWaiting, maxWaitingPerKey } = shareOfEach(limits, config.workers)
  const limit = createLimiter(
    {
      ...{ maxRunning, maxWaiting, maxWaitMs },
      maxWaitingPerKey: config.rateLimit ? maxWaitingPerKey : maxWaiting
    },
    () => new TooBusy()
  )
  metrics.queue('catch_ups', limit.countWaiting)
  app.decorate('catchUpLimit', (userId, query, signal) => limit(query, userId, signal))
}

export default fp(catchUp, { name: 'catch-up', dependencies: ['config', 'metrics'] })
