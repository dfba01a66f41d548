import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { BadToken, Busy } from '../../../lib/errors.ts'
import { createFairQueue } from '../../../lib/fair-queue.ts'
import { lockWaitMs } from '../../../lib/postgres/locks.ts'
import { shareOf } from '../../../lib/share.ts'
import { createTimeSlice } from '../../../lib/time-slice.ts'
import { costOfMerge, costOfSubmit } from './cost.ts'
import { decide, type Turn } from './decide.ts'
import { mergeNext } from './merge-next.ts'
import {
  createTask,
  isDone,
  type Job,
  type JobResult,
  nextEntries,
  nextWeight,
  type Task
} from './task.ts'

declare module 'fastify' {
  interface FastifyInstance {
    operations: ReturnType<typeof createOperations>
  }
}

const limits = {
  // Few statements run at once on a node, because operations that arrive during one commit share the next one.
  lanes: { light: 2, heavy: 1 },
  // Maximum weights of one statement and of one task in it; see `nextWeight`. Heavier operations run in lane `heavy`.
  statementWeight: 200,
  taskWeight: 50,
  // Operations of one user per second, and in a burst. Operations beyond this rate are delayed, then rejected.
  rate: { rate: 20, burst: 100, maxWaitMs: 5_000 },
  // Interval at which tasks whose rows are locked are retried.
  retryMs: 50,
  // Merging yields to other work after this time.
  sliceMs: 4
}

type Lane = keyof typeof limits.lanes

async function plugin(app: FastifyInstance) {
  app.decorate('operations', createOperations(app))
}

interface QueuedTask {
  task: Task
  resolve(result: JobResult): void
  reject(error: unknown): void
}

// Operations that arrive during a commit share the next one, and users take turns. Operations on the same checklist are
// never in two statements at the same time.
function createOperations(
  app: Pick<
    FastifyInstance,
    'writeSql' | 'config' | 'metrics' | 'nodeLimits' | 'endedSessions' | 'log' | 'tracing'
  >
) {
  const { config, nodeLimits, endedSessions, tracing } = app
  const rateLimiter = nodeLimits.rateLimiter('operations', limits.rate)
  const queue = createFairQueue<QueuedTask>()
  /** ids of the checklists whose operations are in a running statement */
  const busyLists = new Set<string>()
  const running: Record<Lane, number> = { light: 0, heavy: 0 }
  const slice = createTimeSlice(limits.sliceMs)
  const lanes = {
    light: shareOf(limits.lanes.light, config.workers),
    heavy: shareOf(limits.lanes.heavy, config.workers)
  }
  let retryTimer: NodeJS.Timeout | undefined
  app.metrics.queue('operations', queue.count)

  return {
    /**
     * Rejects with TooOften above the rate limit, with Busy when another transaction locks the rows for 5 s, with
     * BadToken when the session ends first, and with the error of the database when it cannot be reached. Operations
     * decided before the error stay decided: sent again, they return their stored results, marked as duplicates.
     */
    async submit(job: Job): Promise<JobResult> {
      const task = createTask(job)
      if (config.rateLimit) await rateLimiter.wait(job.actorId, costOfSubmit(task))
      if (isDone(task)) return task
      return new Promise((resolve, reject) => {
        queue.push(job.actorId, { task, resolve, reject })
        start()
      })
    }
  }

  function start() {
    for (const lane of ['light', 'heavy'] as const) {
      while (running[lane] < lanes[lane]) {
        const batch = takeBatch(lane)
        if (batch.length === 0) break
        run(batch, lane)
      }
    }
    if (queue.isEmpty || retryTimer) return
    retryTimer = setTimeout(() => {
      retryTimer = undefined
      start()
    }, limits.retryMs)
  }

  function takeBatch(lane: Lane): (QueuedTask & Turn)[] {
    const now = performance.now()
    let total = 0
    return queue.take(
      queued => {
        const { task } = queued
        if (busyLists.has(task.job.checklistId) || task.retryAt > now) return
        const isHeavy = nextWeight(task) > limits.statementWeight
        if (isHeavy !== (lane === 'heavy')) return
        const { entries, weight } = nextEntries(task, limits.taskWeight)
        total += weight
        return { ...queued, entries, cost: 0 }
      },
      () => total >= limits.statementWeight
    )
  }

  async function run(batch: (QueuedTask & Turn)[], lane: Lane) {
    const lists = new Set(batch.map(({ task }) => task.job.checklistId))
    for (const list of lists) busyLists.add(list)
    running[lane]++
    const turns = batch.filter(hasSession)
    const work = () => decide(app, turns)
    if (tracing) await tracing.runFor('operations', contextsOf(turns), work)
    else await work()
    for (const { task, cost } of turns) charge(task, cost)
    running[lane]--
    start()
    for (const { task } of turns) await merge(task)
    for (const list of lists) busyLists.delete(list)
    // In reverse order, because `settle` puts each unfinished task before the other tasks of its user.
    for (const turn of turns.reverse()) settle(turn)
    start()
  }

  /** Returns whether the session of a task is active. Rejects the task when the session has ended. */
  function hasSession({ task, reject }: QueuedTask): boolean {
    const isEnded = endedSessions.has(task.job.sessionId)
    if (isEnded) reject(new BadToken())
    return !isEnded
  }

  function charge({ job }: Task, cost: number) {
    if (config.rateLimit && cost > 0) rateLimiter.charge(job.actorId, cost)
  }

  async function merge(task: Task) {
    if (task.liveText === undefined) return
    if (slice.isOver()) await slice.next()
    const from = performance.now()
    mergeNext(task)
    charge(task, costOfMerge(performance.now() - from))
  }

  /** Puts an unfinished task back into the queue, before the other tasks of its user. */
  function settle({ task, resolve, reject, error }: QueuedTask & Turn) {
    if (isDone(task)) return resolve(task)
    if (error) return reject(error)
    const now = performance.now()
    if (now - (task.lockedSince ?? now) > lockWaitMs) return reject(new Busy())
    queue.unshift(task.job.actorId, { task, resolve, reject })
  }
}

function contextsOf(turns: Turn[]) {
  return turns.map(({ task }) => task.context)
}

export default fp(plugin, {
  name: 'operations',
  dependencies: ['config', 'metrics', 'tracing', 'node-limits', 'pools', 'ended-sessions']
})
