import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { createBuckets } from '../lib/bucket.ts'
import { TooOften } from '../lib/errors.ts'
import { mergeText } from '../lib/merge-text.ts'
import { type Checked, checkOperation, longest } from '../lib/operations.ts'
import type { Operation, Result } from '../schemas/operation.ts'
import { applyOperations, type Decision, type Entry } from '../sql/operations.ts'

declare module 'fastify' {
  interface FastifyInstance {
    operations: ReturnType<typeof createOperations>
  }
}

/** Operations of one person on one checklist, to be done in order. */
export interface Job {
  /** Whose pace it is: a session. */
  clientId: string
  actorId: string
  checklistId: string
  source: 'ws' | 'http'
  ops: Operation[]
}

/** What became of a job: a result each, and the last position of the log that it wrote. */
export interface Done {
  results: Result[]
  pos: number
  /** Whether the checklist does not exist for this person. */
  isHidden: boolean
}

const limits = {
  // The commit is the cost: what piles up while one is under way belongs in the next.
  statements: 2,
  opsAStatement: 200,
  // A client that goes faster is slowed down, and refused when it would have to wait too long.
  pace: { rate: 20, burst: 100 },
  patienceMs: 5_000,
  attempts: 5,
  retryMs: 20
}

// Lost a race, or the connection while nobody knows whether it was committed: operations are idempotent.
const again =
  /^(40P01|40001|55P03|23505|CONNECTION_(CLOSED|DESTROYED|ENDED)|ECONNRESET|57P01|57P02)$/

export default fp(
  async app => {
    app.decorate('operations', createOperations(app))
  },
  { name: 'operations', dependencies: ['config', 'db'] }
)

/** One operation on its way: as it may be written, or why it may not. */
interface Step {
  opId: string
  digest: string
  checked: Checked
}

interface Task {
  job: Job
  steps: Step[]
  results: Result[]
  /** words merged for the first step that is not decided yet */
  merge?: Entry['merge']
  pos: number
  isHidden: boolean
  resolve(done: Done): void
  reject(error: unknown): void
}

/**
 * Decides operations in as few commits as may be: a lone one goes at once, what arrives while commits are
 * under way goes together in the next. A checklist is in one statement at a time, its jobs in order.
 */
function createOperations({ sql, config }: FastifyInstance) {
  const buckets = createBuckets(limits.pace)
  const waiting = new Map<string, Task[]>()
  const busy = new Set<string>()
  let statements = 0

  return {
    /**
     * Decides a job. Rejects with TooOften, or when the database cannot be reached or refuses for
     * reasons of its own.
     */
    async submit(job: Job): Promise<Done> {
      if (config.rateLimit) await keepPace(job)
      return new Promise((resolve, reject) => {
        const steps = job.ops.map(op => ({
          opId: op.opId,
          digest: digestOf(job, op),
          checked: checkOperation(op)
        }))
        settle({ job, steps, results: [], pos: 0, isHidden: false, resolve, reject }, [])
        start()
      })
    }
  }

  async function keepPace({ clientId, ops }: Job) {
    const wait = buckets.take(clientId, ops.length, limits.patienceMs)
    if (wait > limits.patienceMs) {
      throw Object.assign(new TooOften(), { retryAfter: Math.ceil(wait / 1000) })
    }
    if (wait > 0) await delay(wait)
  }

  function start() {
    while (statements < limits.statements) {
      const tasks = take()
      if (tasks.length === 0) return
      statements++
      run(tasks).finally(() => {
        statements--
        start()
      })
    }
  }

  /** The next jobs of lists that no statement works on, as many as one statement may hold. */
  function take(): Task[] {
    const taken: Task[] = []
    let count = 0
    for (const [list, tasks] of waiting) {
      if (busy.has(list)) continue
      while (tasks[0] && (count === 0 || count + left(tasks[0]) <= limits.opsAStatement)) {
        const task = tasks.shift() as Task
        taken.push(task)
        count += left(task)
      }
      if (tasks.length === 0) waiting.delete(list)
      if (count >= limits.opsAStatement) break
    }
    return taken
  }

  async function run(tasks: Task[]) {
    const lists = new Set(tasks.map(({ job }) => job.checklistId))
    for (const list of lists) busy.add(list)
    await decide(tasks)
    for (const list of lists) busy.delete(list)
  }

  async function decide(tasks: Task[]): Promise<void> {
    const entries = tasks.map(entriesOf)
    try {
      const { pos, results } = await attempt(entries.flat())
      for (const [n, task] of tasks.entries()) {
        task.pos = pos ?? task.pos
        settle(task, results.splice(0, entries[n]?.length), true)
      }
    } catch (error) {
      // One job that cannot be written must not take the others with it.
      if (tasks.length === 1) tasks[0]?.reject(error)
      else for (const task of tasks) await decide([task])
    }
  }

  async function attempt(batch: Entry[]) {
    for (let n = 1; ; n++) {
      try {
        return await applyOperations(sql, batch)
      } catch (error) {
        const { code = '' } = error as { code?: string }
        if (n === limits.attempts || !again.test(code)) throw error
        await delay(Math.random() * limits.retryMs * 2 ** n)
      }
    }
  }

  /** Takes over what was decided; the rest of the job, if any, waits for its next turn: before later jobs. */
  function settle(task: Task, decisions: (Decision | null)[], isFirst = false) {
    refuseInvalid(task)
    for (const decision of decisions) {
      const step = task.steps[task.results.length]
      if (!decision || !step) break
      const { merge } = task
      task.merge = undefined
      if (decision.needs !== undefined) {
        task.merge = mergeFor(step, decision.needs)
        break
      }
      const { hidden, ...result } = decision
      task.isHidden ||= hidden === true && result.code === 'not_found'
      // The answer of the database leaves out the text that it was given.
      const isFresh = result.outcome === 'merged' && !result.duplicate
      task.results.push({
        opId: step.opId,
        ...result,
        ...(isFresh && { value: merge?.value ?? undefined })
      })
      refuseInvalid(task)
    }
    if (left(task) === 0) return task.resolve(task)
    const { checklistId } = task.job
    const tasks = waiting.get(checklistId) ?? []
    waiting.set(checklistId, isFirst ? [task, ...tasks] : [...tasks, task])
  }
}

function left({ steps, results }: Task): number {
  return steps.length - results.length
}

/** The steps that are not decided yet; the invalid ones are not worth a trip. */
function entriesOf({ job, steps, results, merge }: Task, key: number): Entry[] {
  const { actorId: actor, checklistId: list, source } = job
  const rest = steps
    .slice(results.length)
    .flatMap(({ digest, checked }) =>
      'op' in checked ? [{ job: key, actor, list, source, digest, op: checked.op }] : []
    )
  return rest.map((entry, n) => (n === 0 && merge ? { ...entry, merge } : entry))
}

function refuseInvalid({ steps, results }: Task) {
  for (
    let step = steps[results.length];
    step && 'code' in step.checked;
    step = steps[results.length]
  ) {
    results.push({ opId: step.opId, outcome: 'rejected', code: step.checked.code })
  }
}

/** Words merged for the live text; nothing to merge when the operation only has to be tried again. */
function mergeFor({ checked }: Step, live: string | null): Entry['merge'] {
  const words = 'op' in checked ? wordsOf(checked.op) : undefined
  if (live === null || !words) return undefined
  const value = mergeText(words.from, live, words.to)
  const isTooLong = value !== null && [...value].length > words.max
  return { live, value: isTooLong ? null : value }
}

function wordsOf(op: Operation): { from: string; to: string; max: number } | undefined {
  if (op.kind === 'list.rename') return { from: op.from, to: op.to, max: longest.title }
  if (op.kind === 'item.set' && op.set.text) return { ...op.set.text, max: longest.text }
}

/** Tells whether an operation that comes again is the same: by the same person, on the same list, whatever the order of keys. */
function digestOf({ actorId, checklistId }: Job, op: Operation): string {
  const canonical = JSON.stringify([actorId, checklistId, sorted(op)])
  return createHash('sha256').update(canonical).digest('base64url')
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== 'object') return value
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, item]) => [key, sorted(item)])
}
