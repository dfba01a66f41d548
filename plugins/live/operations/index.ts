import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { BadToken, Busy } from '../../../lib/errors.ts'
import { createFairQueue } from '../../../lib/fair-queue.ts'
import { lockWaitMs } from '../../../lib/postgres/locks.ts'
import { createRateLimiter } from '../../../lib/rate-limiter.ts'
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
  // Statements that run at once. Few, because the commit is the cost: operations that arrive during one commit
  // share the next. Operations heavier than `statementWeight` have a lane of their own.
  lanes: { light: 2, heavy: 1 },
  // Rows that the operations of one statement may change, and those of one task in it.
  statementWeight: 200,
  taskWeight: 50,
  // Operations a second, and at once, of a user. A faster user is delayed, then rejected.
  rate: { rate: 20, burst: 100 },
  maxWaitMs: 5_000,
  // Interval at which tasks that have backed off are retried.
  retryMs: 50,
  // Merging yields to other work after this time.
  sliceMs: 4
}

type Lane = keyof typeof limits.lanes

async function plugin(app: FastifyInstance) {
  app.decorate('operations', createOperations(app))
}

/** A task in the queue, and the functions that settle the promise of its submitter. */
interface QueuedTask {
  task: Task
  resolve(result: JobResult): void
  reject(error: unknown): void
}

/**
 * Decides operations in as few commits as possible: a single operation is sent at once; operations that arrive during a
 * commit share the next one, users in turn. A checklist is in one statement at a time.
 */
function createOperations(
  app: Pick<FastifyInstance, 'writeSql' | 'config' | 'endedSessions' | 'log'>
) {
  const { config, endedSessions } = app
  const rateLimiter = createRateLimiter(limits.rate, limits.maxWaitMs)
  const queue = createFairQueue<QueuedTask>()
  /** the checklists that are in a statement */
  const busyLists = new Set<string>()
  const running: Record<Lane, number> = { light: 0, heavy: 0 }
  const slice = createTimeSlice(limits.sliceMs)
  let retryTimer: NodeJS.Timeout | undefined

  return {
    /**
     * Decides the operations of a job. Rejects with TooOften when the user exceeds the rate limit, with Busy when
     * another transaction holds the rows for 5 s, with BadToken when the session ends first, and with the error of
     * the database when it cannot be reached. Operations that were decided before the error stay decided; sent again,
     * they return the same result as a duplicate.
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

  /** Starts as many statements as the lanes allow. */
  function start() {
    for (const lane of ['light', 'heavy'] as const) {
      while (running[lane] < limits.lanes[lane]) {
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

  /**
   * Removes from the queue the next tasks of checklists that are in no statement, as many as one statement may have.
   */
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
    await decide(app, turns)
    for (const { task, cost } of turns) charge(task, cost)
    running[lane]--
    start()
    for (const { task } of turns) await merge(task)
    for (const list of lists) busyLists.delete(list)
    // In reverse, because `settle` puts each unfinished task before the other tasks of its user.
    for (const turn of turns.reverse()) settle(turn)
    start()
  }

  /** Returns whether the session of a task is active. Rejects the task when it has ended. */
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

  /** Resolves or rejects a task that is finished, and puts others back before the other tasks of their user. */
  function settle({ task, resolve, reject, error }: QueuedTask & Turn) {
    if (isDone(task)) return resolve(task)
    if (error) return reject(error)
    const now = performance.now()
    if (now - (task.lockedSince ?? now) > lockWaitMs) return reject(new Busy())
    queue.unshift(task.job.actorId, { task, resolve, reject })
  }
}

export default fp(plugin, {
  name: 'operations',
  dependencies: ['config', 'pools', 'ended-sessions']
})
