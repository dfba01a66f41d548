import { checkOperation } from '../lib/check-operation.ts'
import { maximum } from '../schemas/limits.ts'
import { combine } from './combine.ts'
import { applyChanges, type Confirmed, forget, fromSnapshot, toData } from './confirmed.ts'
import { ConcordError } from './errors.ts'
import { createHistory } from './history.ts'
import type { ChangesPage, Link, ListHandler, OpenedList } from './link.ts'
import { untilReady } from './live.ts'
import type { Outbox } from './outbox.ts'
import { itemAbove } from './place.ts'
import { peopleByItem, peopleOf } from './presence.ts'
import { type Readable, writable } from './readable.ts'
import {
  applyOne,
  openConflicts,
  replay,
  shownItem,
  shownTitle,
  viewOf,
  type Working
} from './replay.ts'
import type { SessionManager } from './session.ts'
import type { Entry } from './storage.ts'
import type {
  Checklist,
  Choice,
  Clock,
  Conflict,
  Item,
  Line,
  Notices,
  Operation,
  Peer,
  Person,
  PresenceState,
  Project,
  Result,
  Role,
  Sent,
  Status,
  View
} from './types.ts'
import { createUndo, type NewOperation } from './undo.ts'
import { uuid } from './uuid.ts'

export interface ChecklistParts {
  link: Pick<Link, 'open' | 'state' | 'onEvent'>
  outbox: Outbox
  session: Pick<SessionManager, 'request'>
  clock: Clock
  /** aborts when the client is closed */
  closed: AbortSignal
  onDispose: () => void
}

const limits = {
  /** shortest time between two views because of messages of the service: a frame of a screen */
  frameMs: 16,
  /** time after a change before the copy on this device is stored */
  saveMs: 1_000,
  /** time for which a checklist stays open after its last subscriber has left */
  lingerMs: 1_000,
  /** JSON of the items of one operation, in UTF-16 code units */
  addLength: 60_000,
  historyPage: 100
}

type Listener = (notice: Notices[keyof Notices]) => void

/** What has happened since the connection was lost. */
type Absence = Notices['caughtUp'] & { hasWaited: boolean }

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
  const listeners = new Map<keyof Notices, Set<Listener>>()

  let users = 0
  let stopLinger = () => {}
  let stopFrame: (() => void) | undefined
  let stopSave: (() => void) | undefined
  let stopEvents: (() => void) | undefined
  /** whether an event may have given the user access since the checklist was opened for the last time */
  let hasNewAccess = false
  /** another object after each start and stop, so that a start that waited can find out */
  let start = {}
  let opened: OpenedList | undefined

  let confirmed: Confirmed | undefined
  let working: Working | undefined
  /** the entries that `working` contains */
  let replayed: readonly Entry[] = []
  /** Entries whose result has arrived before their change. They stay in the view until it arrives. */
  let held: { entry: Entry; rev: number }[] = []
  let lines: readonly Line[] = []
  let conflicts: readonly Conflict[] = []
  let isRemoved = false
  let isCaughtUp = false
  let wasOnline = false
  /** false when the role may have changed while the connection was lost */
  let isRoleKnown = false
  const peers = new Map<string, Peer>()
  let people: readonly Person[] = []
  let undoSteps = createUndo()
  let absence: Absence | undefined = newAbsence()
  /** notices that are sent after the next view */
  const notices: [keyof Notices, Notices[keyof Notices]][] = []

  const readHistory = createHistory((query, signal) =>
    session.request('GET', `/checklists/${id}/changes?${query}`, { signal })
  )

  const handler: ListHandler = {
    snapshot,
    changes,

    presence(updates, _others, isWhole) {
      if (isWhole) peers.clear()
      for (const peer of updates) {
        peers.delete(peer.connectionId)
        if (peer.state) peers.set(peer.connectionId, peer)
      }
      changed()
    },

    revoked(reason, role) {
      if (reason !== 'role_changed') {
        lose(reason)
        // Events and messages arrive on two connections: the user may have been added again meanwhile.
        return reason === 'removed' && hasNewAccess ? tryAgain() : undefined
      }
      if (role) setRole(role)
    },

    refused(code) {
      if (code === 'CHECKLIST_NOT_FOUND') lose('removed')
      else if (code === 'CHECKLIST_DELETED') lose('deleted')
      error.set(new ConcordError(code, 'the service refuses to open the checklist'))
      if (hasNewAccess) tryAgain()
    },

    caughtUp(isNow) {
      isCaughtUp = isNow
      if (isNow) {
        changed()
        if (!isRoleKnown) void loadRole()
      } else {
        isRoleKnown = false
        updateStatus()
      }
    }
  }

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
        absence ??= newAbsence()
        peers.clear()
      }
      flush()
    }),
    outbox.userId.subscribe(() => {
      close()
      reset()
      if (users > 0) open()
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
    add,

    set(itemId, to) {
      const { id: key, text, done, dueOn } = shown(itemId)
      const set: Fields = {}
      if (to.text !== undefined) set.text = { from: text, to: to.text }
      if (to.done !== undefined) set.done = { from: done, to: to.done }
      if (to.dueOn !== undefined) set.dueOn = { from: dueOn, to: to.dueOn }
      const op = check({ kind: 'item.set', itemId: key, set })
      const changed = Object.entries(op.set).filter(([, { from, to }]) => from !== to)
      if (changed.length === 0) return nothing()
      return change({ ...op, set: Object.fromEntries(changed) })
    },

    move(itemId, after) {
      const item = shown(itemId)
      const anchor = after === null ? null : shown(after).id
      const op = check({ kind: 'item.move', itemId: item.id, after: anchor })
      return itemAbove(editable(), item) === anchor ? nothing() : change(op)
    },

    remove(itemId) {
      const { id, text, done, dueOn } = shown(itemId)
      return change(check({ kind: 'item.delete', itemId: id, seen: { text, done, dueOn } }))
    },

    restore(itemId) {
      const { items } = editable()
      if (items.has(itemId.toLowerCase())) return nothing()
      checkRoom(1)
      return change(check({ kind: 'item.restore', itemId: itemId.toLowerCase() }))
    },

    rename(title) {
      const op = check({ kind: 'list.rename', from: shownTitle(editable()), to: title })
      return op.from === op.to ? nothing() : change(op)
    },

    delete({ force } = {}) {
      editable()
      return change(check({ kind: 'list.delete', seenRev: seenRev(), ...(force && { force }) }))
    },

    undelete() {
      if (isRemoved || confirmed?.role === 'viewer') throw readOnly()
      if (working && access(working) !== 'deleted') return nothing()
      return change(check({ kind: 'list.restore' }))
    },

    restoreTo(rev) {
      editable()
      return change(check({ kind: 'list.restoreTo', rev, seenRev: seenRev() }))
    },

    resolve,
    undo: () => step(undoSteps.undo),
    redo: () => step(undoSteps.redo),

    show(state) {
      opened?.show(state && { ...state, ...clean(state) })
    },

    unsent: () => outbox.entries(id).map(({ op }) => op),
    discard: () => outbox.discard(id),

    async history({
      before = Number.MAX_SAFE_INTEGER,
      limit = limits.historyPage,
      itemId,
      signal
    } = {}) {
      if (!confirmed) throw notLoaded()
      const end = Math.min(before - 1, confirmed.rev)
      return readHistory({ end, limit, itemId }, signal)
    },

    on(type, run, { signal } = {}) {
      const set = listeners.get(type) ?? new Set()
      listeners.set(type, set)
      const listener: Listener = notice => run(notice as never)
      set.add(listener)
      const release = hold()
      const off = () => {
        signal?.removeEventListener('abort', off)
        if (set.delete(listener)) release()
      }
      if (signal?.aborted) off()
      else signal?.addEventListener('abort', off)
      return off
    },

    [dispose]: end
  }

  function end() {
    closed.removeEventListener('abort', end)
    for (const run of stop) run()
    stopLinger()
    save()
    close()
    reset()
    listeners.clear()
    onDispose()
  }

  // Opening and closing

  /** Keeps the checklist open until the returned function is called. */
  function hold(): () => void {
    stopLinger()
    if (++users === 1) open()
    return () => {
      if (--users > 0) return
      stopLinger = clock.setTimeout(() => {
        flush()
        save()
        close()
      }, limits.lingerMs)
    }
  }

  async function open() {
    if (opened || outbox.userId.get() === null) return
    const mine = {}
    start = mine
    error.set(null)
    if (!confirmed) {
      const copy = await outbox.copy(id)
      if (mine !== start) return
      if (copy) {
        confirmed = fromSnapshot(copy)
        if (absence && outbox.entries(id).length > 0) absence.hasWaited = true
        flush()
      }
    }
    hasNewAccess = false
    opened = link.open(id, handler, confirmed && { rev: confirmed.rev, epoch: confirmed.epoch })
    // The user may be added again, and a deleted checklist may be restored.
    stopEvents = link.onEvent(event => {
      const { type } = event
      const isMember = type === 'member.added' || type === 'member.updated'
      if (
        (isMember && event.userId === outbox.userId.get()) ||
        (type === 'checklist.restored' && event.checklistId === id) ||
        type === 'ready' ||
        type === 'reset'
      ) {
        if (isRemoved || confirmed?.isDeleted || error.get()) tryAgain()
        else hasNewAccess = true
      }
    })
  }

  function close() {
    start = {}
    stopFrame?.()
    stopFrame = undefined
    stopSave?.()
    stopSave = undefined
    stopEvents?.()
    stopEvents = undefined
    opened?.close()
    opened = undefined
    isCaughtUp = false
    isRoleKnown = false
    peers.clear()
  }

  /** Forgets the data of a user. */
  function reset() {
    confirmed = undefined
    working = undefined
    replayed = []
    held = []
    lines = []
    conflicts = []
    isRemoved = false
    undoSteps = createUndo()
    absence = newAbsence()
    error.set(null)
    view.set(undefined)
    toDecide.set(0)
    updateStatus()
  }

  // Messages of the service

  function snapshot(data: Parameters<typeof fromSnapshot>[0]) {
    if (absence && confirmed?.epoch === data.epoch)
      absence.changesOfOthers += Math.max(0, data.rev - confirmed.rev)
    if (confirmed?.epoch !== data.epoch) held = []
    confirmed = fromSnapshot(data, confirmed)
    isRemoved = false
    isRoleKnown = true
    error.set(null)
    releaseHeld()
    updateRights()
    changedState()
  }

  function changes(page: ChangesPage) {
    if (!confirmed) return
    const { rev } = confirmed
    const next = applyChanges(confirmed, page.changes)
    if (next === 'gap') return opened?.resync()
    const wasDeleted = confirmed.isDeleted
    confirmed = next
    const me = outbox.userId.get()
    for (const change of page.changes) {
      if (change.rev <= rev) continue
      const isMine = change.actorId === me
      if (absence && !isMine) absence.changesOfOthers++
      notify('change', { change, isMine })
      if (change.kind === 'conflict.opened')
        notify('conflict', { conflict: change.after as Conflict, isMine })
    }
    releaseHeld()
    if (wasDeleted !== confirmed.isDeleted) updateRights()
    changedState()
  }

  function setRole(role: Role) {
    isRoleKnown = true
    if (!confirmed || confirmed.role === role) return
    confirmed = { ...confirmed, role }
    updateRights()
    changedState()
  }

  /** Requests the role, because the changes after a revision do not contain it. */
  async function loadRole() {
    const mine = start
    if (!confirmed) return
    isRoleKnown = true
    try {
      const { role } = await session.request<Project>('GET', `/projects/${confirmed.projectId}`)
      if (mine === start) setRole(role)
    } catch {
      isRoleKnown = false
    }
  }

  /** Removes the entries whose change has arrived. */
  function releaseHeld() {
    for (const { entry, rev } of held)
      if (confirmed && rev <= confirmed.rev) confirmed = forget(confirmed, entry.op.opId)
    held = held.filter(({ rev }) => confirmed && rev > confirmed.rev)
  }

  function updateRights() {
    if (isRemoved || confirmed?.role === 'viewer') outbox.pause(id)
    else if (confirmed?.isDeleted) outbox.pause(id)
    else outbox.resume(id)
  }

  function lose(reason: 'removed' | 'deleted') {
    if (reason === 'removed') isRemoved = true
    else if (confirmed) confirmed = { ...confirmed, isDeleted: true }
    held = []
    updateRights()
    changedState()
  }

  function tryAgain() {
    hasNewAccess = false
    opened?.resync()
  }

  // The view

  /** Shows a change of the service with the next frame. */
  function changed() {
    stopFrame ??= clock.setTimeout(flush, limits.frameMs)
  }

  function changedState() {
    stopSave ??= clock.setTimeout(save, limits.saveMs)
    changed()
  }

  function save() {
    if (!stopSave) return
    stopSave()
    stopSave = undefined
    if (!confirmed) return
    if (isRemoved && outbox.entries(id).length === 0) void outbox.removeCopy(id)
    else void outbox.saveCopy(toData(confirmed))
  }

  function flush() {
    stopFrame?.()
    stopFrame = undefined
    const userId = outbox.userId.get()
    if (confirmed && userId !== null) render(confirmed, userId)
    updateStatus()
    checkAbsence()
    for (const [type, notice] of notices.splice(0))
      for (const run of [...(listeners.get(type) ?? [])]) run(notice)
  }

  function render(state: Confirmed, userId: string) {
    const entries = outbox.entries(id)
    const all = held.length > 0 ? [...held.map(({ entry }) => entry), ...entries] : entries
    const isKnown =
      working?.confirmed === state &&
      replayed.length <= all.length &&
      replayed.every(({ op }, n) => op === all[n]?.op)
    const isMarked =
      isKnown &&
      replayed.length === all.length &&
      replayed.every(({ isSent }, n) => isSent === all[n]?.isSent)
    if (working && isKnown) for (const entry of all.slice(replayed.length)) applyOne(working, entry)
    else working = replay(state, all, userId)
    replayed = all

    const old = view.get()
    const isOnline = isConnected()
    people = peopleOf(peers.values(), userId, people)
    // When an entry has been stored, for example, nothing is to be shown.
    const isShown = isMarked && wasOnline === isOnline && old?.people === people
    if (isShown && old.access === access(working)) return
    wasOnline = isOnline
    const marked = isOnline ? all : all.map(entry => ({ ...entry, isSent: false }))
    lines = viewOf(working, marked, lines, peopleByItem(people))
    const open = openConflicts(working)
    if (open.length !== conflicts.length || open.some((one, n) => one !== conflicts[n]))
      conflicts = open
    toDecide.set(conflicts.length)
    const { projectId, rev, epoch, role } = state
    const next: View = {
      ...{ id, projectId, title: shownTitle(working), rev, epoch, role },
      ...{ items: lines, conflicts, people, access: access(working) }
    }
    if (!old || (Object.keys(next) as (keyof View)[]).some(key => next[key] !== old[key]))
      view.set(next)
  }

  function access({ isDeleted }: Working): View['access'] {
    if (isRemoved) return 'removed'
    if (isDeleted) return 'deleted'
    return confirmed?.role === 'viewer' ? 'read' : 'write'
  }

  function isConnected(): boolean {
    return /^(live|catching-up)$/.test(link.state.get().state)
  }

  function updateStatus() {
    const entries = outbox.entries(id)
    const sending = isConnected() ? entries.filter(({ isSent }) => isSent).length : 0
    const { state } = link.state.get()
    const next: Status = {
      state: state === 'live' && opened && !isCaughtUp ? 'catching-up' : state,
      sending,
      waiting: entries.length - sending,
      canUndo: undoSteps.canUndo(),
      canRedo: undoSteps.canRedo()
    }
    const old = status.get()
    if ((Object.keys(next) as (keyof Status)[]).some(key => next[key] !== old[key]))
      status.set(next)
  }

  // Notices

  function notify<Type extends keyof Notices>(type: Type, notice: Notices[Type]) {
    if (listeners.get(type)?.size) notices.push([type, notice])
  }

  function receiveResult(entry: Entry, result: Result) {
    const { op } = entry
    const { outcome, rev = 0 } = result
    if (confirmed && rev > confirmed.rev && !isRemoved) held.push({ entry, rev })
    else if (confirmed) confirmed = forget(confirmed, op.opId)
    if (outcome === 'dropped' || outcome === 'rejected') notify(outcome, { op, result })
    if (outcome === 'merged' && result.value !== undefined) {
      const mine = op.kind === 'item.set' ? op.set.text?.to : op.kind === 'list.rename' && op.to
      notify('merged', {
        itemId: op.kind === 'item.set' ? op.itemId : null,
        mine: mine || '',
        result: result.value,
        parts: result.parts
      })
    }
    if (!absence) return
    absence.sent++
    if (outcome === 'conflict') absence.conflicts++
    else if (outcome !== 'applied' && outcome !== 'noop') absence[outcome]++
  }

  function checkAbsence() {
    if (!absence) return
    const isWaiting = outbox.entries(id).length > 0
    if (isWaiting && !isConnected()) absence.hasWaited = true
    if (isWaiting || !isConnected() || !isCaughtUp) return
    const { hasWaited, ...totals } = absence
    absence = undefined
    if (hasWaited && totals.sent > 0) notify('caughtUp', totals)
  }

  // Changes of this user

  function editable(): Working {
    if (!working) throw notLoaded()
    if (access(working) !== 'write') throw readOnly()
    return working
  }

  /** Returns an item as the user sees it. Throws when there is none. */
  function shown(itemId: string): Item {
    const item = shownItem(editable(), itemId.toLowerCase())
    if (!item) throw invalid('the checklist does not show this item')
    return item
  }

  function seenRev(): number {
    return confirmed?.rev ?? 0
  }

  function checkRoom(many: number) {
    if (editable().items.size + many > maximum.itemsPerChecklist)
      throw new ConcordError('LIMIT', `a checklist has at most ${maximum.itemsPerChecklist} items`)
  }

  /** Returns an operation in its stored form. Throws INVALID or LIMIT. */
  function check<Body extends NewOperation>(body: Body): Body & { opId: string } {
    const op = { opId: uuid(), ...body } as Operation
    const checked = isWellFormed(op) ? checkOperation(op) : { code: 'invalid' as const }
    if ('code' in checked)
      throw checked.code === 'limit'
        ? new ConcordError('LIMIT', 'too long')
        : invalid('not allowed')
    const { values, ...stored } = checked.op
    if (op.kind !== 'conflict.resolve' || !values) return stored as never
    const field = working?.conflicts.get(op.conflictId)?.field
    const value = values[field as keyof typeof values]
    if (value === undefined) throw invalid('not allowed')
    return { ...op, value } as never
  }

  /** Adds an operation to the queue, which shows it. */
  function change(op: Operation, isRecorded = true): Sent {
    outbox.checkLimits([op])
    if (working && isRecorded) undoSteps.record(op, working, clock.now())
    return outbox.add(id, op, working && combine(outbox.entries(id), working, op))
  }

  function add(
    text: string | readonly string[],
    { after, done, dueOn }: { after?: string | null; done?: boolean; dueOn?: string | null } = {}
  ): Sent & { ids: string[] } {
    const texts = typeof text === 'string' ? [text] : text
    const { order } = editable()
    checkRoom(texts.length)
    if (texts.length === 0) throw invalid('nothing to add')
    let anchor = after ? shown(after).id : after === null ? null : (order.at(-1)?.id ?? null)
    const ids: string[] = []
    const ops: Operation[] = []
    let items: { itemId: string; text: string; done?: boolean; dueOn?: string | null }[] = []
    let length = 0
    for (const line of texts) {
      const itemId = uuid()
      items.push({ itemId, text: line, done, dueOn })
      ids.push(itemId)
      length += line.length
      const isFull = items.length === maximum.itemsPerAdd || length > limits.addLength
      if (!isFull && ids.length < texts.length) continue
      ops.push(check({ kind: 'item.add', after: anchor, items }))
      anchor = itemId
      items = []
      length = 0
    }
    return { ...changeAll(ops), ids }
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

  function resolve(conflictId: string, choice: Choice): Sent {
    const { conflicts, title, items } = editable()
    const conflict = conflicts.get(conflictId.toLowerCase())
    if (!conflict) throw invalid('this conflict is not open')
    const { field, itemId } = conflict
    const word = typeof choice === 'object' ? 'custom' : choice
    if ((field === 'alive') !== (word === 'keep' || word === 'delete'))
      throw invalid('this choice is not possible')
    if (word === 'both') {
      if (field !== 'text') throw invalid('this choice is not possible')
      checkRoom(1)
    }
    const item = itemId === null ? undefined : items.get(itemId)
    const live = field === 'title' ? title : field === 'dueOn' ? item?.dueOn : item?.text
    return change(
      check({
        kind: 'conflict.resolve',
        conflictId: conflict.id,
        choice: word,
        seen: live ?? null,
        ...(typeof choice === 'object' && { value: choice.custom }),
        ...(word === 'both' && { newItemId: uuid() })
      })
    )
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

  function nothing(): Sent {
    const opId = uuid()
    return { opId, settled: Promise.resolve({ opId, outcome: 'noop' }) }
  }
}

type Fields = Extract<Operation, { kind: 'item.set' }>['set']

// Some browsers have no `Symbol.dispose`.
const dispose: typeof Symbol.dispose = (Symbol.dispose ??
  Symbol.for('Symbol.dispose')) as typeof Symbol.dispose

const invalid = (message: string) => new ConcordError('INVALID', message)
const notLoaded = () => invalid('the checklist is not loaded yet')
const readOnly = () => new ConcordError('READ_ONLY', 'this user may not change the checklist')

const newAbsence = (): Absence => ({
  hasWaited: false,
  ...{ sent: 0, merged: 0, conflicts: 0, dropped: 0, rejected: 0, changesOfOthers: 0 }
})

/** Returns whether the service accepts all characters: neither NUL nor half of a surrogate pair. */
const isWellFormed = (op: Operation) => !/\\u(0000|d[89a-f])/.test(JSON.stringify(op))

/** Returns what the service accepts of a state: the caret in its range, the draft without invalid characters. */
function clean({ caret, draft }: PresenceState): PresenceState {
  return {
    ...(caret !== undefined && { caret: Math.min(Math.max(0, Math.round(caret)), 10_000) }),
    ...(draft !== undefined && {
      draft: [...draft.replace(/\p{Cs}|\0/gu, '')].slice(0, maximum.textLength).join('')
    })
  }
}
