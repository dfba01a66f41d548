import { createHash } from 'node:crypto'
import { type CheckedOperation, checkOperation } from '../../../lib/check-operation.ts'
import { lockRetryMs } from '../../../lib/postgres/locks.ts'
import { type TraceContext, traceContext } from '../../../lib/trace-context.ts'
import { maximum } from '../../../schemas/limits.ts'
import type { Operation, Result } from '../../../schemas/operation.ts'
import type { Decision, Entry } from '../../../sql/operations.ts'

/** Operations of one user on one checklist. They are decided in order. */
export interface Job {
  actorId: string
  /** When this session ends, the remaining operations of the job are not written. */
  sessionId: string
  checklistId: string
  source: 'ws' | 'http'
  ops: Operation[]
}

/** The results of a job, one for each operation in order. */
export interface JobResult {
  results: Result[]
  /** position of the last event of the last statement that wrote for this job; 0 when no statement did */
  pos: number
  /** whether the checklist does not exist, or is not visible to this user */
  isHidden: boolean
}

interface Step {
  opId: string
  /** hash of the operation; an `opId` that is sent again with another hash is refused */
  digest: string
  /** length of the operation as JSON, in UTF-16 code units */
  size: number
  checked: CheckedOperation
}

/** A job that is not finished. Its next operation is the first one without a result. */
export interface Task {
  job: Job
  steps: Step[]
  results: Result[]
  /** the current text, in the database, that the next operation must be merged with */
  liveText?: string
  /** the result of that merge, sent with the next operation */
  merge?: Entry['merge']
  pos: number
  isHidden: boolean
  /** time since which another transaction has locked a row that the next operation changes, as performance.now() */
  lockedSince?: number
  retries: number
  retryAt: number
  /** the span of the request or message; undefined without tracing */
  context?: TraceContext
}

export function createTask(job: Job): Task {
  const task: Task = {
    job,
    steps: job.ops.map(op => toStep(job, op)),
    results: [],
    pos: 0,
    isHidden: false,
    retries: 0,
    retryAt: 0,
    context: traceContext.getStore()
  }
  rejectInvalid(task)
  return task
}

function toStep({ actorId, checklistId }: Job, sent: Operation): Step {
  const checked = checkOperation(sent)
  const json = JSON.stringify(sorted('op' in checked ? checked.op : sent))
  const digest = createHash('sha256').update(`${actorId} ${checklistId} ${json}`)
  return { opId: sent.opId, checked, size: json.length, digest: digest.digest('base64url') }
}

// Sorts the keys of objects, so that the digest of an operation does not depend on the order of its keys.
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== 'object') return value
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, item]) => [key, sorted(item)])
}

export function isDone({ steps, results }: Task): boolean {
  return steps.length === results.length
}

/** Returns the weight of the next operation: the number of rows that it may change, plus 1 for each 8 KiB of JSON. */
export function nextWeight({ steps, results }: Task): number {
  const step = steps[results.length]
  return step ? weightOf(step) : 0
}

function weightOf({ checked, size }: Step): number {
  if (!('op' in checked)) return 0
  const { op } = checked
  const rows = {
    'list.restoreTo': maximum.itemsPerChecklist,
    'item.add': 'items' in op ? op.items?.length : 1
  }
  return (rows[op.kind as keyof typeof rows] ?? 1) + Math.floor(size / 8192)
}

/** Returns at least one valid operation, and more up to `maxWeight`, as entries of a batch. Skips invalid ones. */
export function nextEntries({ job, steps, results, merge, context }: Task, maxWeight: number) {
  const { actorId: actor, checklistId: list, source } = job
  const entries: Omit<Entry, 'job'>[] = []
  let weight = 0
  for (const step of steps.slice(results.length)) {
    const { digest, checked } = step
    if (!('op' in checked)) continue
    if (entries.length > 0 && weight + weightOf(step) > maxWeight) break
    weight += weightOf(step)
    entries.push({ actor, list, source, digest, op: checked.op, trace: context?.text })
  }
  if (merge && entries[0]) entries[0].merge = merge
  return { entries, weight }
}

/**
 * Stores results in order. Stops at the first operation that must be merged first (`task.liveText`), or whose rows
 * another transaction has locked (`isBusy`). `faults` are errors of PostgreSQL for which operations were rejected.
 */
export function applyDecisions(task: Task, decisions: (Decision | null)[]) {
  let isBusy = false
  const written: { events: number; bytes: number }[] = []
  const faults: string[] = []
  for (const decision of decisions) {
    const step = task.steps[task.results.length]
    if (!decision || !step) break
    if ('fault' in decision && decision.fault !== undefined) faults.push(decision.fault)
    if ('busy' in decision) {
      isBusy = true
      break
    }
    const { merge } = task
    task.merge = undefined
    if ('needs' in decision) {
      task.liveText = decision.needs ?? undefined
      break
    }
    task.lockedSince = undefined
    task.retries = 0
    const { hidden, fault, wrote, ...result } = decision
    if (wrote) written.push(wrote)
    task.isHidden ||= hidden === true && result.code === 'not_found'
    // The merged text comes from the task, because the database does not return the text that it received.
    const isFresh = result.outcome === 'merged' && !result.duplicate
    const merged = isFresh ? { value: merge?.value ?? undefined, parts: merge?.parts } : {}
    task.results.push({ opId: step.opId, ...result, ...merged })
    rejectInvalid(task)
  }
  return { isBusy, written, faults }
}

function rejectInvalid(task: Task) {
  const { steps, results } = task
  for (
    let step = steps[results.length];
    step && 'code' in step.checked;
    step = steps[results.length]
  ) {
    results.push({ opId: step.opId, outcome: 'rejected', code: step.checked.code })
  }
}

/** Postpones a task whose rows another transaction has locked. */
export function backOff(task: Task) {
  const now = performance.now()
  task.lockedSince ??= now
  task.retries++
  task.retryAt = now + lockRetryMs(task.retries)
}
