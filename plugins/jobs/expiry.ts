import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { every } from '../../lib/every.ts'
import type { Sql } from '../../sql/executor.ts'
import { deleteExpiredSessions } from '../../sql/sessions.ts'
import { deleteExpiredThrottles } from '../../sql/throttles.ts'

const limits = {
  // A stream that was opened with a cookie closes at most this long after its session has expired.
  everyMs: 5_000,
  batch: 1000
}

/** Deletes expired sessions and throttles. Every node does this, and skips the rows that another node has locked. */
async function expiry(app: FastifyInstance) {
  const { sql, log, shutdown } = app
  const stop = every(limits.everyMs, () =>
    deleteExpired().catch(err =>
      log.warn({ err }, 'expired sessions not deleted: trying again in 5 s')
    )
  )
  app.addHook('preClose', stop)

  async function deleteExpired() {
    await repeat(deleteExpiredSessions)
    await repeat(deleteExpiredThrottles)
  }

  async function repeat(deleteSome: (sql: Sql, limit: number) => Promise<number>) {
    while (!shutdown.isClosing && (await deleteSome(sql, limits.batch)) === limits.batch);
  }
}

export default fp(expiry, { name: 'expiry', dependencies: ['pools', 'shutdown'] })
