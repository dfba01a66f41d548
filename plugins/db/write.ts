import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { Busy } from '../../lib/errors.ts'
import { createLimiter } from '../../lib/limiter.ts'
import { isLockTimeout, lockRetryMs, lockWaitMs } from '../../lib/postgres/locks.ts'
import { shareOfEach } from '../../lib/share.ts'
import type { Sql } from '../../sql/executor.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Runs a write to the log as one transaction. While its rows or the commit lock are locked, retries it and holds no
     * connection in between. Throws Busy after 5 s. Writers take turns; `writer` is the id of a user or session.
     */
    write<T>(writer: string, transaction: (sql: Sql) => Promise<T>): Promise<T>
  }
}

// Of a node; each worker gets its share. The other connections of the pool are for the operations on checklists.
const limits = { maxRunning: 4, maxWaiting: 2000, maxWaitingPerKey: 500 }

async function write(app: FastifyInstance) {
  const { writeSql, config, metrics } = app
  const limit = createLimiter(
    { ...shareOfEach(limits, config.workers), maxWaitMs: lockWaitMs },
    () => new Busy()
  )
  metrics.queue('writes', limit.countWaiting)

  app.decorate('write', async (writer, transaction) => {
    const start = performance.now()
    for (let attempts = 1; ; attempts++) {
      try {
        return await limit(() => transaction(writeSql), writer)
      } catch (error) {
        if (!isLockTimeout(error)) throw error
        if (performance.now() - start > lockWaitMs) throw new Busy()
        await delay(lockRetryMs(attempts))
      }
    }
  })
}

export default fp(write, { name: 'write', dependencies: ['config', 'metrics', 'pools'] })
