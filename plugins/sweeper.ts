import fp from 'fastify-plugin'
import { deleteExpiredSessions } from '../sql/sessions.ts'
import { forgetThrottles } from '../sql/throttles.ts'

const limits = {
  // A stream that a cookie holds open outlives its session by this at most.
  everyMs: 5_000,
  batch: 1000
}

/** Deletes what time has ended. Every node does: the rows that another is at are skipped. */
export default fp(
  async app => {
    const { sql, wheel, log } = app
    wheel.after(limits.everyMs, sweep)

    async function sweep() {
      try {
        while ((await deleteExpiredSessions(sql, limits.batch)) === limits.batch);
        while ((await forgetThrottles(sql, limits.batch)) === limits.batch);
      } catch (err) {
        log.warn({ err }, 'cannot delete what has expired: trying again')
      }
      wheel.after(limits.everyMs, sweep)
    }
  },
  { name: 'sweeper', dependencies: ['db', 'wheel'] }
)
