import { createHash } from 'node:crypto'
import { mergeText } from '../../../lib/merge-text.ts'
import { type Checked, checkOperation, isStorable } from '../../../lib/operations.ts'
import { maximum } from '../../../schemas/limits.ts'
import type { Operation, Result } from '../../../schemas/operation.ts'
import type { Decision, Entry } from '../../../sql/operations.ts'

/** Operations of one user on one checklist, to be decided in order. */
export interface Job {
  actorId: string
  /** Once this session has ended, nothing more of the job is written. */
  sessionId: string
  checklistId: string
  source: 'ws' | 'http'
  ops: Operation[]
}

/** The results of a job, one per operation, and the last position of the log that it wrote. */
export interface Done {
  results: Result[]
  pos: number
  /** Whether the checklist does not exist for this user. */
  isHidden: boolean
}

/** One operation on its way: as it may be written, or why it may not. */
interface Step {
  opId: string
  digest: string
  /** UTF-16 units of the operation as JSON */
  size: number
  checked: Checked
}

/** A job on its way. Its first operation without a result is the next to be decided. */
export interface Task {
  job: Job
  steps: Step[]
  results: Result[]
  /** The live text that the next operation has to be merged with. */
  needs?: string
  /** The words that were merged for the next operation. */
  merge?: Entry['merge']
  pos: number
  isHidden: boolean
  /** Since when another transaction holds a row that the next operation wants; how often that was found. */
  busySince?: number
  busyCount: number
  /** When to try again, in the time of performance.now(). */
  restsUntil: number
}

export function createTask(job: Job): Task {
  const task: Task = {
    job,
    steps: job.ops.map(op => stepOf(job, op)),
    results: [],
    pos: 0,
    isHidden: false,
    busyCount: 0,
    restsUntil: 0
  }
  refuseInvalid(task)
  return task
}

function stepOf({ actorId, checklistId }: Job, sent: Operation): Step {
  const checked = checkOperation(sent)
  const json = JSON.stringify(sorted('op' in checked ? checked.op : sent))
  const digest = createHash('sha256').update(`${actorId} ${checklistId} ${json}`)
  return { opId: sent.opId, checked, size: json.length, digest: digest.digest('base64url') }
}

// The digest of an operation that is sent again must not depend on the order of its keys.
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

/** Returns how much a job asks for before anything is decided: its operations, and one more for each 16 KiB. */
export function costOf({ steps }: Task, bytesPerOperation: number): number {
  const bytes = steps.reduce((sum, { size }) => sum + size, 0)
  return steps.length + Math.floor(bytes / bytesPerOperation)
}

/** Returns how heavy the next operation is: the rows that it may change, and one more for each 8 KiB. */
export function weightOf({ steps, results }: Task): number {
  const step = steps[results.length]
  return step ? weightOfStep(step) : 0
}

function weightOfStep({ checked, size }: Step): number {
  if (!('op' in checked)) return 0
  const { op } = checked
  const rows = {
    'list.restoreTo': maximum.itemsPerChecklist,
    'item.add': 'items' in op ? op.items?.length : 1
  }
  return (rows[op.kind as keyof typeof rows] ?? 1) + Math.floor(size / 8192)
}

/**
 * Returns the next operations of a task as entries of a batch, as heavy as `most` together, but at least one, and how
 * heavy they are. Operations that are invalid need no decision.
 */
export function entriesOf({ job, steps, results, merge }: Task, most: number) {
  const { actorId: actor, checklistId: list, source } = job
  const entries: Omit<Entry, 'job'>[] = []
  let weight = 0
  for (const step of steps.slice(results.length)) {
    const { digest, checked } = step
    if (!('op' in checked)) continue
    if (entries.length > 0 && weight + weightOfStep(step) > most) break
    weight += weightOfStep(step)
    entries.push({ actor, list, source, digest, op: checked.op })
  }
  if (merge && entries[0]) entries[0].merge = merge
  return { entries, weight }
}

/**
 * Takes over what was decided of a task's next operations, in order, up to the first that could not be decided: it
 * has to be merged (`task.needs`) or wants a row that another transaction holds (`isBusy`). Returns also what the
 * operations wrote, and the errors of PostgreSQL that made some of them invalid.
 */
export function takeOver(task: Task, decisions: (Decision | null)[]) {
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
      task.needs = decision.needs ?? undefined
      break
    }
    task.busySince = undefined
    task.busyCount = 0
    const { hidden, fault, wrote, ...result } = decision
    if (wrote) written.push(wrote)
    task.isHidden ||= hidden === true && result.code === 'not_found'
    // The database does not send back the merged words that it was given.
    const isFresh = result.outcome === 'merged' && !result.duplicate
    const merged = isFresh ? { value: merge?.value ?? undefined, parts: merge?.parts } : {}
    task.results.push({ opId: step.opId, ...result, ...merged })
    refuseInvalid(task)
  }
  return { isBusy, written, faults }
}

function refuseInvalid(task: Task) {
  const { steps, results } = task
  for (
    let step = steps[results.length];
    step && 'code' in step.checked;
    step = steps[results.length]
  ) {
    results.push({ opId: step.opId, outcome: 'rejected', code: step.checked.code })
  }
}

/** Merges the words of the next operation with the live text that the database answered. */
export function mergeNext(task: Task) {
  const { needs: live, steps, results } = task
  task.needs = undefined
  const words = wordsOf(steps[results.length])
  if (live === undefined || !words) return
  const merged = mergeText(words.from, live, words.to)
  const isFit = merged !== null && isStorable(words.field, merged.value)
  task.merge = { live, ...(isFit ? merged : { value: null }) }
}

interface Words {
  field: 'text' | 'title'
  from: string
  to: string
}

function wordsOf(step: Step | undefined): Words | undefined {
  const op = step && 'op' in step.checked ? step.checked.op : undefined
  if (op?.kind === 'list.rename') return { field: 'title', from: op.from, to: op.to }
  if (op?.kind === 'item.set' && op.set.text) return { field: 'text', ...op.set.text }
}
