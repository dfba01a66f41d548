import { ConcordError } from './errors.ts'
import { sizeOf } from './operation-size.ts'
import { createQueue, type Queue, type QueueParts } from './queue.ts'
import { type Readable, writable } from './readable.ts'
import type { Entry } from './storage.ts'
import type { ChecklistData, Operation, Project, Result, Sent, Session } from './types.ts'

/** operations of one user on one device that the service has not confirmed, and their JSON in bytes */
const limits = { unsent: 10_000, unsentBytes: 20 << 20 }

export interface OutboxParts
  extends Omit<QueueParts, 'isStored' | 'onChange' | 'onResult' | 'onPause'> {
  session: QueueParts['session'] & { state: Readable<Session> }
  /** Calls `run` when the page becomes visible again. */
  onShow: (run: () => void) => () => void
}

export type Outbox = ReturnType<typeof createOutbox>

/**
 * Contains the operations of this device that the service has not confirmed. Every tab has a copy of the stored
 * entries, which messages between the tabs keep up to date; one tab, the leader, sends them. When a tab missed a result
 * (because it was frozen), its `settled` resolves with `noop`, and the checklist itself shows what happened.
 *
 * Two leaders at once do no harm: the service returns the first result to an operation that is sent again.
 */
export function createOutbox({ session, link, log, onShow, ...parts }: OutboxParts) {
  const isStored = writable(true)
  const unsent = writable(0)
  const held = writable(0)
  const userId = writable<string | null>(null)
  const changeRuns = new Set<(checklistId: string) => void>()
  const resultRuns = new Set<(entry: Entry, result: Result) => void>()
  let queue: Queue | undefined

  const undo = [
    onShow(reload),
    link.isLeader.subscribe(reload),
    session.state.subscribe(now => {
      if (now.state === 'signed-in') use(now.user.id)
      // After any other reason, the same user can sign in again and send what is stored.
      else if (now.state === 'signed-out' && /^(signed_out|account_deleted)$/.test(`${now.reason}`))
        use(null)
    })
  ]

  return {
    /** the user whose operations these are; null when no user is signed in */
    userId: userId as Readable<string | null>,
    /** false when operations would be lost with this page, because they cannot be stored */
    isStored: isStored as Readable<boolean>,
    /** number of operations in all checklists */
    unsent: unsent as Readable<number>,
    /** number of these operations that wait because the user may not change their checklists */
    held: held as Readable<number>,

    /** Returns the entries of a checklist in order: a new array after each change, else the same. */
    entries: (checklistId: string): readonly Entry[] =>
      queue?.lists.get(checklistId)?.entries ?? NONE,
    checkLimits,

    /** Throws TOO_MUCH_UNSENT when too many operations wait on this device, and SIGNED_OUT when they belong to no user. */
    add(
      checklistId: string,
      op: Operation,
      combine?: { entry: Entry; into: Operation | null }
    ): Sent {
      if (!queue) throw new ConcordError('SIGNED_OUT', 'sign in first')
      checkLimits([op])
      return queue.add(checklistId, op, combine)
    },

    discard: async (checklistId: string) => queue?.discard(checklistId),
    /** Stops sending the entries of a checklist until `resume`, a reconnect, or the end of a pause. */
    pause: (checklistId: string) => queue?.pause(checklistId),
    resume: (checklistId: string) => queue?.resume(checklistId),

    /** Calls `run` when the entries of a checklist have changed. */
    onChange: (run: (checklistId: string) => void) => addTo(changeRuns, run),
    /** Calls `run` with each result, in every tab, before the entry leaves `entries`. */
    onResult: (run: (entry: Entry, result: Result) => void) => addTo(resultRuns, run),

    /** Returns the stored copy of a checklist. Returns undefined when there is none or the storage fails. */
    copy: async (checklistId: string): Promise<ChecklistData | undefined> =>
      queue?.store.use(opened => opened.checklist(checklistId)).catch(() => undefined),
    /** Stores a copy of a checklist, unless the storage fails. */
    saveCopy: async (checklist: ChecklistData): Promise<void> =>
      queue?.store.use(opened => opened.saveChecklist(checklist)).catch(() => {}),
    removeCopy: async (checklistId: string): Promise<void> =>
      queue?.store.use(opened => opened.removeChecklist(checklistId)).catch(() => {}),

    /** Returns the stored projects of the user. Returns undefined when there are none or the storage fails. */
    projects: async (): Promise<readonly Project[] | undefined> =>
      queue?.store.use(opened => opened.projects()).catch(() => undefined),
    /** Stores the projects of the user, unless the storage fails. */
    saveProjects: async (projects: readonly Project[]): Promise<void> =>
      queue?.store.use(opened => opened.saveProjects(projects)).catch(() => {}),

    close() {
      for (const run of undo) run()
      queue?.close()
    }
  }

  function use(next: string | null) {
    if (next === userId.get()) return
    const old = queue
    old?.close()
    queue =
      next === null
        ? undefined
        : createQueue(next, {
            ...parts,
            session,
            link,
            log,
            isStored,
            onChange,
            onResult,
            onPause: count
          })
    isStored.set(true)
    unsent.set(0)
    held.set(0)
    userId.set(next)
    for (const id of old?.lists.keys() ?? []) notify(id)
    old?.drop()
    reload()
  }

  function reload() {
    queue?.reload()
  }

  /** Throws TOO_MUCH_UNSENT when there is no room for these operations. */
  function checkLimits(ops: readonly Operation[]) {
    let size = 0
    for (const op of ops) size += sizeOf(op)
    for (const { entries } of queue?.lists.values() ?? [])
      for (const { op } of entries) size += sizeOf(op)
    if (unsent.get() + ops.length > limits.unsent || size > limits.unsentBytes)
      throw new ConcordError('TOO_MUCH_UNSENT', 'too many unsent changes on this device')
  }

  function onChange(checklistId: string) {
    count()
    notify(checklistId)
  }

  function count() {
    let all = 0
    let waiting = 0
    for (const { id, entries } of queue?.lists.values() ?? []) {
      all += entries.length
      if (queue?.isPaused(id)) waiting += entries.length
    }
    held.set(waiting)
    unsent.set(all)
  }

  function notify(checklistId: string) {
    for (const run of [...changeRuns]) call(() => run(checklistId))
  }

  function onResult(entry: Entry, result: Result) {
    for (const run of [...resultRuns]) call(() => run(entry, result))
  }

  /** Runs a listener. An error in it, also of a subscriber of a view, must not stop the queue. */
  function call(run: () => void) {
    try {
      run()
    } catch (error) {
      log({ level: 'warn', message: 'a subscriber failed', error })
      // Shows it as an uncaught error in browsers.
      globalThis.reportError?.(error)
    }
  }
}

const NONE: readonly Entry[] = []

function addTo<T>(set: Set<T>, value: T): () => void {
  set.add(value)
  return () => set.delete(value)
}
