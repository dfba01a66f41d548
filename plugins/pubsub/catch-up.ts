import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { TooBusy } from '../../lib/errors.ts'
import { createLimiter } from '../../lib/limiter.ts'
import { shareOfEach } from '../../lib/share.ts'
import { createSharedReads } from '../../lib/shared-reads.ts'
import { type ChecklistAt, readChecklists } from '../../sql/checklists.ts'
import { type Memberships, readMemberships } from '../../sql/log.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Limits how many queries for past events and whole checklists run at once (half the pool), so that requests still
     * get a connection when thousands of clients reconnect. Users take turns. All functions throw TooBusy when 1,000
     * calls of this user or 10,000 of all users wait, and after a wait of 30 s. A call whose `signal` aborts first runs
     * no query.
     */
    catchUp: {
      run<T>(userId: string, query: () => Promise<T>, signal?: AbortSignal): Promise<T>
      readMemberships(userId: string, signal?: AbortSignal): Promise<Memberships>
      /** Users with the same role receive the same object. Throws ChecklistNotFound or ChecklistDeleted. */
      readChecklist(userId: string, checklistId: string, signal?: AbortSignal): Promise<ChecklistAt>
    }
  }
}

/** Of a node; each worker gets its share. */
const limits = { maxRunning: 4, maxWaiting: 10_000, maxWaitingPerKey: 1000 }

const maxWaitMs = 30_000

// A query of the memberships of 20 users with 1,000 projects each takes 0.2 s.
const usersPerQuery = { memberships: 20, checklist: 500 }

async function catchUp(app: FastifyInstance) {
  const { config, metrics, sql } = app
  const { maxRunning, maxWaiting, maxWaitingPerKey } = shareOfEach(limits, config.workers)
  const limit = createLimiter(
    {
      ...{ maxRunning, maxWaiting, maxWaitMs },
      maxWaitingPerKey: config.rateLimit ? maxWaitingPerKey : maxWaiting
    },
    () => new TooBusy()
  )
  metrics.queue('catch_ups', limit.countWaiting)
  const readShared = createSharedReads<Memberships>(
    limit,
    (_, userIds) => readMemberships(sql, userIds),
    usersPerQuery.memberships
  )
  const readSharedChecklist = createSharedReads<ChecklistAt>(
    limit,
    (checklistId, userIds) => readChecklists(sql, userIds, checklistId),
    usersPerQuery.checklist
  )
  app.decorate('catchUp', {
    run: (userId, query, signal) => limit(query, userId, signal),
    readMemberships: (userId, signal) => readShared('memberships', userId, signal),
    readChecklist: (userId, checklistId, signal) => readSharedChecklist(checklistId, userId, signal)
  })
}

export default fp(catchUp, { name: 'catch-up', dependencies: ['config', 'metrics', 'pools'] })
