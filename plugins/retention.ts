import fp from 'fastify-plugin'
import type { Sql } from '../sql/executor.ts'
import {
  forgetConflicts,
  forgetItems,
  forgetOperations,
  type Retention,
  raiseFloor,
  trimHistories
} from '../sql/retention.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Drops what need not be kept any longer, in bounded statements, until nothing is left to drop. */
    dropOld(): Promise<void>
  }
}

const limits = {
  everyMs: 600_000,
  historyDays: 90,
  historyChanges: 5000,
  operationDays: 30,
  limit: 5000
}

/** Drops what is older than it is kept. Every node does: none waits for another. */
export default fp(
  async app => {
    const { sql, wheel, log, config } = app
    const retention = { ...limits, feedDays: config.retentionDays }
    let isOpen = true

    app.decorate('dropOld', async () => {
      await repeat(raiseFloor)
      await repeat(trimHistories)
      await repeat(forgetOperations)
      await repeat(forgetItems)
      await repeat(forgetConflicts)
    })
    app.addHook('preClose', async () => {
      isOpen = false
    })
    wheel.after(limits.everyMs, run)

    async function run() {
      await app.dropOld().catch(err => log.warn({ err }, 'cannot drop what is old: trying again'))
      wheel.after(limits.everyMs, run)
    }

    async function repeat(drop: (sql: Sql, retention: Retention) => Promise<number>) {
      while (isOpen && (await drop(sql, retention)) >= limits.limit);
    }
  },
  { name: 'retention', dependencies: ['config', 'db', 'wheel'] }
)
