import { setTimeout as delay } from 'node:timers/promises'
import fp from 'fastify-plugin'
import { Busy } from '../lib/errors.ts'
import { createLimiter } from '../lib/limiter.ts'
import type { Sql } from '../sql/executor.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Runs a write that the log carries, as one transaction. Waits for rows and for the commit lock in short
     * attempts, so that a transaction in psql uses up no connection, and throws Busy after 5 s: nothing was
     * written then. `writer` is whose write it is: a user, or a session; writers take turns.
     */
    write<T>(writer: string, transaction: (sql: Sql) => Promise<T>): Promise<T>
  }
}

const limits = {
  // Of the pool's connections the rest belongs to operations.
  writers: { running: 4, waiting: 2000, waitingEach: 500, waitMs: 5000 },
  busyMs: 5000,
  rest: { stepMs: 50, mostMs: 250 }
}

const lockNotAvailable = '55P03'

export default fp(
  async app => {
    const limit = createLimiter(limits.writers, () => new Busy())

    app.decorate('write', async (writer, transaction) => {
      const from = performance.now()
      for (let n = 1; ; n++) {
        try {
          return await limit(() => transaction(app.writeSql), writer)
        } catch (error) {
          const isLocked = (error as { code?: string }).code === lockNotAvailable
          if (!isLocked) throw error
          if (performance.now() - from > limits.busyMs) throw new Busy()
          await delay(Math.min(limits.rest.stepMs * n, limits.rest.mostMs))
        }
      }
    })
  },
  { name: 'write', dependencies: ['db'] }
)
