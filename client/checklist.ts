import { createAbsence } from './absence.ts'
import { combine } from './combine.ts'
import { ConcordError } from './errors.ts'
import { createHistory } from './history.ts'
import type { Link } from './link.ts'
import { untilReady } from './live.ts'
import {
  make,
  makeAdd,
  makeMove,
  makeRemove,
  makeRename,
  makeResolve,
  makeRestore,
  makeSet
} from './make-operation.ts'
import { createMirror, type MirrorParts } from './mirror.ts'
import { createNotices } from './notices.ts'
import { cleanState } from './presence.ts'
import { type Readable, setFields, writable } from './readable.ts'
import { accessTo, createRenderer } from './render.ts'
import type { Working } from './replay.ts'
import type { Entry } from './storage.ts'
import type { Checklist, Operation, Result, Sent, Status, View } from './types.ts'
import { createUndo, type NewOperation } from './undo.ts'
import { uuid } from './uuid.ts'

export interface ChecklistParts extends Pick<MirrorParts, 'outbox' | 'session' | 'clock'> {
  link: Pick<Link, 'open' | 'state' | 'onEvent'>
  /** aborts when the client is closed */
  closed: AbortSignal
  onDispose: () => void
}

const limits = {
  /** shortest time between two views because of messages of the service: a frame of a screen */
  frameMs: 16,
  /** time for which a checklist stays open after its last subscriber has left */
  lingerMs: 1_000,
  historyPage: 100
}

/**
 * Shows one checklist, and changes it. The view is the state of the service with the operations of this device applied
 * to it (`replay`). The checklist is open as long as the view or a notice has a subscriber.
 */
export function createChecklist(
  id: string,
  { link, outbox, session, clock, closed, onDispose }: ChecklistParts
): Checklist & { toDecide: Readable<number> } {
  const view = writable<View | undefined>(undefined, hold)
  const error = writable<ConcordError | null>(null)
  const status = writable<Status>({
    state: link.state.get().state,
    sending: 0,
    waiting: 0,
    canUndo: false,
    canRedo: false
  })
  const toDecide = writable(0)
  const notices = createNotices(hold)

  let users = 0
  let stopLinger = () => {}
  let stopFrame: (() => void) | undefined
  let { absence, mirror, renderer, undoSteps } = startUser()

  const readHistory = createHistory((query, signal) =>
    session.request('GET', `/checklists/${id}/changes?${query}`, { signal })
  )

  closed.addEventListener('abort', end)
  const stop = [
    outbox.onChange(changed => {
      if (changed === id) flush()
    }),
    outbox.onResult((entry, result) => {
      if (entry.checklistId === id) receiveResult(entry, result)
    }),
    link.state.subscribe(() => {
      if (!isConnected()) {
        absence.begin()
        mirror.peers.clear()
        // From now on, a reload shows nothing else.
        mirror.save()
      }
      flush()
    }),
    outbox.userId.subscribe(() => {
      reset()
      if (users > 0) void mirror.open()
    })
  ]

  return {
    id,
    get: view.get,
    subscribe: view.subscribe,
    error,
    status,
    /** number of open conflicts */
    toDecide,
    ready(call) {
      const release = hold()
      return untilReady(view, error, closed, call).finally(release)
    },

    add(text, options) {
      const { ops, ids } = makeAdd(editable(), text, options)
      return { ...changeAll(ops), ids }
    },
    set: (itemId, to, start) => change(makeSet(editable(), itemId, to, start)),
    move: (itemId, after) => change(makeMove(editable(), itemId, after)),
    remove: itemId => change(makeRemove(editable(), itemId)),
    restore: itemId => change(makeRestore(editable(), itemId)),
    rename: (title, start) => change(makeRename(editable(), title, start)),
    resolve: (conflictId, choice) => change(makeResolve(editable(), conflictId, choice)),

    delete({ force } = {}) {
      editable()
      return change(make({ kind: 'list.delete', seenRev: seenRev(), ...(force && { force }) }))
    },

    undelete() {
      if (mirror.isRemoved() || mirror.confirmed()?.role === 'viewer') throw readOnly()
      const working = renderer.working()
      const isDeleted = !working || accessTo(working, false) === 'deleted'
      return change(isDeleted ? make({ kind: 'list.restore' }) : null)
    },

    restoreTo(rev) {
      editable()
      return change(make({ kind: 'list.restoreTo', rev, seenRev: seenRev() }))
    },

    undo: () => step(undoSteps.undo),
    redo: () => step(undoSteps.redo),
    show: state => mirror.show(state && cleanState(state)),
    unsent: () => outbox.entries(id).map(({ op }) => op),
    discard: () => outbox.discard(id),

    async history({
      before = Number.MAX_SAFE_INTEGER,
      limit = limits.historyPage,
      itemId,
      signal
    } = {}) {
      if (!mirror.confirmed()) throw notLoaded()
      return readHistory({ end: Math.min(before - 1, seenRev()), limit, itemId }, signal)
    },

    on: notices.on,
    [dispose]: end
  }

  function end() {
    closed.removeEventListener('abort', end)
    for (const run of stop) run()
    stopLinger()
    mirror.save()
    reset()
    notices.clear()
    onDispose()
  }

  // Users of the view, and of the client

  /** Keeps the checklist open until the returned function is called. */
  function hold(): () => void {
    stopLinger()
    if (++users === 1) void mirror.open()
    return () => {
      if (--users > 0) return
      stopLinger = clock.setTimeout(() => {
        flush()
        mirror.save()
        close()
      }, limits.lingerMs)
    }
  }

  function close() {
    stopFrame?.()
    stopFrame = undefined
    mirror.close()
  }

  /** Returns the data of one user. */
  function startUser() {
    const absence = createAbsence()
    const onChange = (isUrgent = false) => {
      if (isUrgent) flush()
      else stopFrame ??= clock.setTimeout(flush, limits.frameMs)
    }
    const parts = { link, outbox, session, clock, absence, error, notify: notices.add, onChange }
    return {
      absence,
      mirror: createMirror(id, parts),
      renderer: createRenderer(),
      undoSteps: createUndo()
    }
  }

  /** Forgets the data of a user. */
  function reset() {
    close()
    ;({ absence, mirror, renderer, undoSteps } = startUser())
    error.set(null)
    view.set(undefined)
    toDecide.set(0)
    updateStatus()
  }

  // The view

  function flush() {
    stopFrame?.()
    stopFrame = undefined
    const confirmed = mirror.confirmed()
    const userId = outbox.userId.get()
    if (confirmed && userId !== null) {
      const next = renderer.render({
        ...{ confirmed, isRemoved: mirror.isRemoved(), entries: mirror.entries(), userId },
        ...{ peers: mirror.peers.values(), isOnline: isConnected() }
      })
      toDecide.set(next.conflicts.length)
      view.set(next)
    }
    updateStatus()
    checkAbsence()
    notices.send()
  }

  function isConnected(): boolean {
    return /^(live|catching-up)$/.test(link.state.get().state)
  }

  function updateStatus() {
    const entries = outbox.entries(id)
    const sending = isConnected() ? entries.filter(({ isSent }) => isSent).length : 0
    const { state } = link.state.get()
    const next: Status = {
      state: state === 'live' && users > 0 && !mirror.isCaughtUp() ? 'catching-up' : state,
      sending,
      waiting: entries.length - sending,
      canUndo: undoSteps.canUndo(),
      canRedo: undoSteps.canRedo()
    }
    setFields(status, next)
  }

  function receiveResult(entry: Entry, result: Result) {
    const { op } = entry
    const { outcome, value, parts } = result
    mirror.receiveResult(entry, result)
    absence.countResult(result)
    if (outcome === 'dropped' || outcome === 'rejected') notices.add(outcome, { op, result })
    if (outcome !== 'merged' || value === undefined) return
    const mine = op.kind === 'item.set' ? op.set.text?.to : op.kind === 'list.rename' && op.to
    const itemId = op.kind === 'item.set' ? op.itemId : null
    notices.add('merged', { itemId, mine: mine || '', result: value, parts })
  }

  function checkAbsence() {
    const isWaiting = outbox.entries(id).length > 0
    if (isWaiting && !isConnected()) absence.wait()
    if (isWaiting || !isConnected() || !mirror.isCaughtUp()) return
    const totals = absence.end()
    if (totals) notices.add('caughtUp', totals)
  }

  // Changes of this user

  function editable(): Working {
    const working = renderer.working()
    if (!working) throw notLoaded()
    if (accessTo(working, mirror.isRemoved()) !== 'write') throw readOnly()
    return working
  }

  function seenRev(): number {
    return mirror.confirmed()?.rev ?? 0
  }

  /** Adds an operation to the queue, which shows it. Without one, nothing changes. */
  function change(op: Operation | null, isRecorded = true): Sent {
    if (!op) {
      const opId = uuid()
      return { opId, settled: Promise.resolve({ opId, outcome: 'noop' }) }
    }
    outbox.checkLimits([op])
    const working = renderer.working()
    if (working && isRecorded) undoSteps.record(op, working, clock.now())
    return outbox.add(id, op, working && combine(outbox.entries(id), working, op))
  }

  /** Adds several operations. They are settled with the first rejection, else with the last result. */
  function changeAll(ops: Operation[], isRecorded = true): Sent {
    outbox.checkLimits(ops)
    const sent = ops.map(op => change(op, isRecorded))
    const settled = Promise.all(sent.map(({ settled }) => settled)).then(
      results => (results.find(({ outcome }) => outcome === 'rejected') ?? results.at(-1)) as Result
    )
    return { opId: sent[0]?.opId ?? '', settled }
  }

  function step(take: (working: Working) => NewOperation[] | null): Sent | null {
    const bodies = take(editable())
    updateStatus()
    if (!bodies?.length) return null
    return changeAll(
      bodies.map(body => ({ opId: uuid(), ...body })),
      false
    )
  }
}

// Some browsers have no `Symbol.dispose`.
const dispose: typeof Symbol.dispose = (Symbol.dispose ??
  Symbol.for('Symbol.dispose')) as typeof Symbol.dispose

const notLoaded = () => new ConcordError('INVALID', 'the checklist is not loaded yet')
const readOnly = () => new ConcordError('READ_ONLY', 'this user may not change the checklist')
