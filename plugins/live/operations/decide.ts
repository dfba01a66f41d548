import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { isLockTimeout } from '../../../lib/postgres/locks.ts'
import { applyOperations, type Entry } from '../../../sql/operations.ts'
import { costOfWrites } from './cost.ts'
import { applyDecisions, backOff, type Task } from './task.ts'

/** The operations of a task that one statement decides. */
export interface Turn {
  task: Task
  entries: Omit<Entry, 'job'>[]
  /** the additional cost in the rate limit, known after the statement */
  cost: number
  error?: unknown
}

const limits = { attempts: 5, retryMs: 20 }

// Codes of a lost connection, a deadlock and a serialization failure. After a lost connection it is unknown whether the
// operations were committed. They are idempotent, so they are sent again.
const RETRYABLE = /^(40P01|40001|CONNECTION_(CLOSED|DESTROYED|ENDED)|ECONNRESET|57P01|57P02)$/

/**
 * Decides the operations of several tasks in one statement. When it fails, runs one statement for each task, so that
 * one task cannot fail the others. Never rejects: sets `error` in the turn. Postpones tasks whose rows are locked.
 */
export async function decide(
  app: Pick<FastifyInstance, 'writeSql' | 'log'>,
  turns: Turn[]
): Promise<void> {
  const batch = turns.flatMap(({ entries }, job) => entries.map(entry => ({ ...entry, job })))
  if (batch.length === 0) return
  try {
    const { pos, results } = await applyWithRetries(app, batch)
    for (const turn of turns) {
      const { task, entries } = turn
      task.pos = pos ?? task.pos
      const { isBusy, written, faults } = applyDecisions(task, results.splice(0, entries.length))
      for (const fault of faults) {
        app.log.error({ fault }, 'operation rejected: PostgreSQL failed on it')
      }
      if (isBusy) backOff(task)
      turn.cost += costOfWrites(written)
    }
  } catch (error) {
    if (isLockTimeout(error)) for (const { task } of turns) backOff(task)
    else if (turns.length > 1) for (const turn of turns) await decide(app, [turn])
    else for (const turn of turns) turn.error = error
  }
}

async function applyWithRetries({ writeSql }: Pick<FastifyInstance, 'writeSql'>, batch: Entry[]) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await applyOperations(writeSql, batch)
    } catch (error) {
      const { code = '' } = error as { code?: string }
      if (attempt === limits.attempts || !RETRYABLE.test(code)) throw error
      await delay(Math.random() * limits.retryMs * 2 ** attempt)
    }
  }
}
