import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { every } from '../../lib/every.ts'
import { deleteExpiredSessions } from '../../sql/sessions.ts'
import { deleteExpiredThrottles } from '../../sql/throttles.ts'

const limits = {
  // A stream that was opened with a cookie closes at most this long after its session has expired.
  everyMs: 5_000,
  batch: 1000
}

/** Deletes expired sessions and throttles. Every node does this, and skips the rows that another node has locked. */
async function expiry(app: FastifyInstance) {
  const { sql, log } = app
  const stop = every(limits.everyMs, () =>
    deleteExpired().catch(err =>
      log.warn({ err }, 'expired sessions not deleted: trying again in 5 s')
    )
  )
  app.addHook('preClose', stop)

  async function deleteExpired() {
    while ((await deleteExpiredSessions(sql, limits.batch)) === limits.batch);
    while ((await deleteExpiredThrottles(sql, limits.batch)) === limits.batch);
  }
}

export default fp(expiry, { name: 'expiry', dependencies: ['pools'] })
