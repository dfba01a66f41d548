import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { every } from '../../lib/every.ts'
import type { Sql } from '../../sql/executor.ts'
import {
  deleteOldChanges,
  deleteOldConflicts,
  deleteOldEvents,
  deleteOldItems,
  deleteOldResults,
  type Retention
} from '../../sql/retention.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Deletes all rows that are older than their retention period. Each statement deletes a limited number of rows. */
    applyRetention(): Promise<void>
  }
}

const limits = {
  everyMs: 600_000,
  historyDays: 90,
  historyChanges: 5000,
  operationDays: 30,
  limit: 5000
}

/** Applies the retention periods every 10 minutes. Every node does this, and none waits for another. */
async function retention(app: FastifyInstance) {
  const { sql, log, config, shutdown } = app
  const periods = { ...limits, feedDays: config.retentionDays }

  app.decorate('applyRetention', async () => {
    await repeat(deleteOldEvents)
    await repeat(deleteOldChanges)
    await repeat(deleteOldResults)
    await repeat(deleteOldItems)
    await repeat(deleteOldConflicts)
  })

  const stop = every(limits.everyMs, () =>
    app
      .applyRetention()
      .catch(err => log.warn({ err }, 'retention failed: trying again in 10 minutes'))
  )
  app.addHook('preClose', stop)

  async function repeat(deleteSome: (sql: Sql, periods: Retention) => Promise<number>) {
    while (!shutdown.isClosing && (await deleteSome(sql, periods)) >= limits.limit);
  }
}

export default fp(retention, { name: 'retention', dependencies: ['config', 'pools', 'shutdown'] })
