import { setImmediate as breathe, setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { BadToken, Busy } from '../../../lib/errors.ts'
import { createFairQueue } from '../../../lib/fair-queue.ts'
import { busyMs, isLocked, restMs } from '../../../lib/postgres/locks.ts'
import { createRateLimiter } from '../../../lib/rate-limiter.ts'
import { applyOperations, type Decision, type Entry } from '../../../sql/operations.ts'
import {
  costOf,
  createTask,
  type Done,
  entriesOf,
  isDone,
  type Job,
  mergeNext,
  type Task,
  takeOver,
  weightOf
} from './task.ts'

declare module 'fastify' {
  interface FastifyInstance {
    operations: ReturnType<typeof createOperations>
  }
}

const limits = {
  // The commit is the cost: what piles up while one is under way belongs in the next.
  statements: 2,
  // Rows that the operations of one statement may change, and those of one task in it.
  load: 200,
  loadOfATurn: 50,
  // An operation that is heavier goes alone, one at a time beside the others.
  heavyStatements: 1,
  // A user who goes faster is slowed down, and refused when they would have to wait too long. What an operation
  // writes beyond these events or bytes, and merging, count as further operations.
  pace: { rate: 20, burst: 100 },
  maxWaitMs: 5_000,
  eventsAnOperation: 10,
  bytesAnOperation: 16 << 10,
  mergingMsAnOperation: 5,
  // How often tasks that rest are looked for.
  wakeMs: 50,
  // Merging lets other work in between.
  sliceMs: 4,
  // When the connection is lost nobody knows whether the operations were committed; they are idempotent.
  attempts: 5,
  retryMs: 20
}

const lost = /^(40P01|40001|CONNECTION_(CLOSED|DESTROYED|ENDED)|ECONNRESET|57P01|57P02)$/

/** A task that waits, and how its submitter learns of the end. */
interface Waiting {
  task: Task
  resolve(done: Done): void
  reject(error: unknown): void
}

/** The part of a task that one statement decides, and the error when it failed. */
interface Turn extends Waiting {
  entries: Omit<Entry, 'job'>[]
  error?: unknown
}

/**
 * Decides operations in as few commits as may be: a lone one goes at once; operations that arrive while commits are
 * under way go together in the next, users in turn. A checklist is in one statement at a time.
 */
function createOperations({
  writeSql,
  config,
  endedSessions,
  log
}: Pick<FastifyInstance, 'writeSql' | 'config' | 'endedSessions' | 'log'>) {
  const pace = createRateLimiter(limits.pace, limits.maxWaitMs)
  const queue = createFairQueue<Waiting>()
  /** The lists in a statement. */
  const working = new Set<string>()
  const running = { light: 0, heavy: 0 }
  let wake: NodeJS.Timeout | undefined
  let breathedAt = 0

  return {
    /**
     * Decides a job. Rejects with TooOften when the user goes too fast, with Busy when another transaction holds
     * rows that it wants for 5 s, with BadToken when its session ends meanwhile, and when the database cannot be
     * reached. What was decided until then stays, and is answered as a duplicate when it is sent again.
     */
    async submit(job: Job): Promise<Done> {
      const task = createTask(job)
      if (config.rateLimit) await pace.wait(job.actorId, costOf(task, limits.bytesAnOperation))
      if (isDone(task)) return task
      return new Promise((resolve, reject) => {
        queue.push(job.actorId, { task, resolve, reject })
        start()
      })
    }
  }

  function start() {
    while (running.light < limits.statements) {
      const some = take(false)
      if (some.length === 0) break
      run(some, 'light')
    }
    while (running.heavy < limits.heavyStatements) {
      const some = take(true)
      if (some.length === 0) break
      run(some, 'heavy')
    }
    if (queue.isEmpty || wake) return
    wake = setTimeout(() => {
      wake = undefined
      start()
    }, limits.wakeMs)
  }

  /** Takes the next tasks of lists that no statement works on, as many as one statement may hold. */
  function take(isHeavy: boolean): Turn[] {
    const now = performance.now()
    let load = 0
    return queue.take(
      waiting => {
        const { task } = waiting
        const isHeld = working.has(task.job.checklistId) || task.restsUntil > now
        if (isHeld || weightOf(task) > limits.load !== isHeavy) return
        const { entries, weight } = entriesOf(task, limits.loadOfATurn)
        load += weight
        return { ...waiting, entries }
      },
      () => load >= limits.load
    )
  }

  async function run(some: Turn[], lane: keyof typeof running) {
    const lists = new Set(some.map(({ task }) => task.job.checklistId))
    for (const list of lists) working.add(list)
    running[lane]++
    const wanted = some.filter(isWanted)
    await decide(wanted)
    running[lane]--
    start()
    for (const { task } of wanted) await merge(task)
    for (const list of lists) working.delete(list)
    // Backwards, since each goes before what its user has waiting.
    for (const turn of wanted.reverse()) settle(turn)
    start()
  }

  /** Rejects a task whose session has ended since it was submitted. */
  function isWanted({ task, reject }: Turn): boolean {
    const isEnded = endedSessions.has(task.job.sessionId)
    if (isEnded) reject(new BadToken())
    return !isEnded
  }

  async function decide(some: Turn[]): Promise<void> {
    const batch = some.flatMap(({ entries }, job) => entries.map(entry => ({ ...entry, job })))
    if (batch.length === 0) return
    try {
      const { pos, results } = await attempt(batch)
      for (const { task, entries } of some) {
        task.pos = pos ?? task.pos
        takeDecisions(task, results.splice(0, entries.length))
      }
    } catch (error) {
      if (isLocked(error)) for (const { task } of some) rest(task)
      else if (some.length > 1) for (const turn of some) await decide([turn])
      else for (const turn of some) turn.error = error
    }
  }

  async function attempt(batch: Entry[]) {
    for (let n = 1; ; n++) {
      try {
        return await applyOperations(writeSql, batch)
      } catch (error) {
        const { code = '' } = error as { code?: string }
        if (n === limits.attempts || !lost.test(code)) throw error
        await delay(Math.random() * limits.retryMs * 2 ** n)
      }
    }
  }

  function takeDecisions(task: Task, decisions: (Decision | null)[]) {
    const { isBusy, written, faults } = takeOver(task, decisions)
    for (const fault of faults) log.error({ fault }, 'operation refused: PostgreSQL failed on it')
    if (isBusy) rest(task)
    const { eventsAnOperation, bytesAnOperation } = limits
    const extra = written.map(({ events, bytes }) =>
      Math.floor(Math.max(events / eventsAnOperation, bytes / bytesAnOperation))
    )
    charge(task, sum(extra))
  }

  function charge({ job }: Task, operations: number) {
    if (config.rateLimit && operations > 0) pace.charge(job.actorId, operations)
  }

  /** Lets a task wait for rows that another transaction holds. */
  function rest(task: Task) {
    const now = performance.now()
    task.busySince ??= now
    task.busyCount++
    task.restsUntil = now + restMs(task.busyCount)
  }

  async function merge(task: Task) {
    if (task.needs === undefined) return
    if (performance.now() - breathedAt > limits.sliceMs) {
      await breathe()
      breathedAt = performance.now()
    }
    const from = performance.now()
    mergeNext(task)
    charge(task, (performance.now() - from) / limits.mergingMsAnOperation)
  }

  /** Ends a task, or puts it back before what else its user has waiting. */
  function settle({ task, resolve, reject, error }: Turn) {
    if (isDone(task)) return resolve(task)
    if (error) return reject(error)
    const now = performance.now()
    if (now - (task.busySince ?? now) > busyMs) return reject(new Busy())
    queue.unshift(task.job.actorId, { task, resolve, reject })
  }
}

const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0)

export default fp(
  async app => {
    app.decorate('operations', createOperations(app))
  },
  { name: 'operations', dependencies: ['config', 'pools', 'ended-sessions'] }
)
