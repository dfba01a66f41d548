import { setTimeout as delay } from 'node:timers/promises'
import fp from 'fastify-plugin'
import { Busy } from '../../lib/errors.ts'
import { createLimiter } from '../../lib/limiter.ts'
import { busyMs, isLocked, restMs } from '../../lib/postgres/locks.ts'
import type { Sql } from '../../sql/executor.ts'

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

// Of the pool's connections the rest belongs to operations.
const limits = { maxRunning: 4, maxWaiting: 2000, maxWaitingPerKey: 500, maxWaitMs: busyMs }

export default fp(
  async app => {
    const limit = createLimiter(limits, () => new Busy())

    app.decorate('write', async (writer, transaction) => {
      const from = performance.now()
      for (let n = 1; ; n++) {
        try {
          return await limit(() => transaction(app.writeSql), writer)
        } catch (error) {
          if (!isLocked(error)) throw error
          if (performance.now() - from > busyMs) throw new Busy()
          await delay(restMs(n))
        }
      }
    })
  },
  { name: 'write', dependencies: ['pools'] }
)
