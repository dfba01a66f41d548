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
  running: 4,
  waiting: 10_000,
  waitingEach: 1000,
  waitMs: 30_000
}

export default fp(
  async app => {
    const { running, waiting, waitMs } = limits
    const waitingEach = app.config.rateLimit ? limits.waitingEach : waiting
    const run = createLimiter({ running, waiting, waitingEach, waitMs }, () => new TooBusy())
    app.decorate('catchUpLimit', (userId, query, signal) => run(query, userId, signal))
  },
  { name: 'catch-up', dependencies: ['config'] }
)
