import fp from 'fastify-plugin'
import { TooBusy } from '../../lib/errors.ts'
import { createLimiter } from '../../lib/limiter.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Runs a query that catches up or reads a whole list, for a user: few at once, users in turn, so that
     * requests still get a connection when thousands of clients reconnect. Throws TooBusy when 1,000 of this
     * user or 10,000 in all wait, or after 30 s. A query whose `signal` aborts while it waits is not run.
     */
    catchUpLimit<T>(userId: string, query: () => Promise<T>, signal?: AbortSignal): Promise<T>
  }
}

const limits = {
  // half the connections of the pool
  maxRunning: 4,
  maxWaiting: 10_000,
  maxWaitingPerKey: 1000,
  maxWaitMs: 30_000
}

export default fp(
  async app => {
    const { maxRunning, maxWaiting, maxWaitMs } = limits
    const maxWaitingPerKey = app.config.rateLimit ? limits.maxWaitingPerKey : maxWaiting
    const run = createLimiter(
      { maxRunning, maxWaiting, maxWaitingPerKey, maxWaitMs },
      () => new TooBusy()
    )
    app.decorate('catchUpLimit', (userId, query, signal) => run(query, userId, signal))
  },
  { name: 'catch-up', dependencies: ['config'] }
)
