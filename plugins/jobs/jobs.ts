import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { every } from '../../lib/every.ts'
import type { Sql } from '../../sql/executor.ts'
import { addJobs, findDueJobs, type PeriodicJob, runStep } from '../../sql/jobs.ts'
import {
  deleteOldChanges,
  deleteOldConflicts,
  deleteOldEvents,
  deleteOldItems,
  deleteOldResults
} from '../../sql/retention.ts'
import { deleteExpiredSessions } from '../../sql/sessions.ts'
import { deleteExpiredThrottles } from '../../sql/throttles.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Runs the jobs that are due, except those that another node runs at the moment. */
    runDueJobs(): Promise<void>
  }
}

const limits = {
  checkMs: 5000,
  // With `checkMs`, a stream that was opened with a cookie closes at most 5 s after its session has expired.
  expiryMs: 4000,
  batch: 1000,
  retentionMs: 600_000,
  // This job reads a row of each checklist that ever existed.
  changesMs: 3_600_000,
  historyDays: 90,
  historyChanges: 5000,
  operationDays: 30,
  limit: 5000
}

/** Deletes what has expired or is older than its retention period. One node at a time runs a job, none waits. */
async function jobs(app: FastifyInstance) {
  const { sql, log, config, shutdown } = app
  const { expiryMs, batch, retentionMs, changesMs, limit } = limits
  const periods = { ...limits, feedDays: config.retentionDays }

  const all: Record<string, PeriodicJob> = {
    expired_sessions: inBatches(expiryMs, batch, sql => deleteExpiredSessions(sql, batch)),
    expired_throttles: inBatches(expiryMs, batch, sql => deleteExpiredThrottles(sql, batch)),
    old_events: inBatches(retentionMs, limit, sql => deleteOldEvents(sql, periods)),
    old_changes: {
      everyMs: changesMs,
      step: (sql, from) => deleteOldChanges(sql, periods, from)
    },
    old_results: inBatches(retentionMs, limit, sql => deleteOldResults(sql, periods)),
    old_items: inBatches(retentionMs, limit, sql => deleteOldItems(sql, periods)),
    old_conflicts: inBatches(retentionMs, limit, sql => deleteOldConflicts(sql, periods))
  }

  await addJobs(sql, Object.keys(all))
  app.decorate('runDueJobs', async () => {
    // One step of each due job after the other, so that a long job does not delay the expiry of sessions.
    for (let isMore = true; isMore && !shutdown.isClosing; ) {
      isMore = false
      for (const name of await findDueJobs(sql)) {
        // A newer version of the service may have added a job.
        const job = all[name]
        if (job && !shutdown.isClosing && (await runStep(sql, name, job))) isMore = true
      }
    }
  })
  const stop = every(limits.checkMs, () =>
    app.runDueJobs().catch(err => log.warn({ err }, 'job failed: trying again later'))
  )
  app.addHook('preClose', stop)
}

/** Returns a job whose steps delete up to `limit` rows each, until a step deletes fewer. */
function inBatches(
  everyMs: number,
  limit: number,
  deleteSome: (sql: Sql) => Promise<number>
): PeriodicJob {
  return { everyMs, step: async sql => ((await deleteSome(sql)) >= limit ? 'more' : null) }
}

export default fp(jobs, { name: 'jobs', dependencies: ['config', 'pools', 'shutdown'] })
