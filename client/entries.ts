import type { Entry } from './storage.ts'
import type { Operation, Result } from './types.ts'

/** Entries that are not stored have numbers above this one: they follow all stored entries. */
export const UNSTORED = 2 ** 52

/** how many ids of operations that have left are kept */
const maxGone = 10_000

export interface EntryList {
  id: string
  /** the entries as the store has them, in order of `seq` */
  stored: Entry[]
  /** `stored` with the writes that are not stored yet; a new array after each change */
  entries: readonly Entry[]
}

/** An operation that is not stored yet. */
export interface Write {
  checklistId: string
  op: Operation
  /** id of the unsent operation that becomes `into`, or is deleted when `into` is null */
  target?: string
  into?: Operation | null
  seq: number
  isSent: boolean
  /** true while it is being stored, and when another tab has a copy: then it is not combined with a later one */
  isFixed: boolean
}

/** The result of an operation, with its entry when the service has returned it. */
export interface Settled {
  entry?: Entry
  result: Result
}

export interface EntriesParts {
  /** called when the entries of a checklist have changed */
  onChange: (checklistId: string) => void
  /** called with each result of the service, before the entry leaves */
  onResult: (entry: Entry, result: Result) => void
  /** Sends a message to the other tabs of the user. */
  send: (message: Message) => void
}

/** A message between the tabs of one user. Entries that are not stored are for the leader. */
export type Message =
  | { put: readonly Entry[] }
  | { left: readonly Settled[]; checklistId: string }
  | { resume: string }
  /** from the leader: the operations of this checklist wait, because the user may not change it */
  | { pause: string }
  | { hasLoaded: true }

export type Entries = ReturnType<typeof createEntries>

/** Returns the copy that one tab has of the entries of one user: those in the store, changed by its own writes. */
export function createEntries({ onChange, onResult, send }: EntriesParts) {
  const lists = new Map<string, EntryList>()
  const waiters = new Map<string, ((result: Result) => void)[]>()
  /** Ids of operations that have left: a message that arrives late does not add them again. */
  const gone = new Set<string>()
  let writes: Write[] = []
  let lastSeq = UNSTORED

  return {
    lists,
    gone,
    listOf,
    writes: (): readonly Write[] => writes,
    waiting: () => waiters.keys(),
    refresh,
    put,
    leave,
    settle,

    /** Adds an operation, and returns its result. Changes no stored entry unless `isStored`. */
    add(
      checklistId: string,
      op: Operation,
      combine: { entry: Entry; into: Operation | null } | undefined,
      isStored: boolean
    ): Promise<Result> {
      const { opId } = op
      const settled = new Promise<Result>(resolve => waiters.set(opId, [resolve]))
      const target = combine?.entry.op.opId
      const last = writes.find(
        write => write.op.opId === target && !write.target && !write.isFixed && !write.isSent
      )
      if (combine && target && last) {
        if (combine.into) {
          last.op = combine.into
          moveWaiters(target, combine.into.opId)
        } else leave(checklistId, [target, opId].map(noop))
      } else {
        const combined = isStored && combine && { target, into: combine.into }
        addWrite({ checklistId, op, ...combined })
      }
      refresh(checklistId)
      return settled
    },

    /** Adds operations that another tab could not store. */
    adopt(entries: readonly Entry[]) {
      for (const { checklistId, op } of entries) {
        const known = [...writes, ...listOf(checklistId).stored]
        if (gone.has(op.opId) || known.some(one => one.op.opId === op.opId)) continue
        addWrite({ checklistId, op }, true)
        refresh(checklistId)
      }
    },

    /** Puts entries that were stored into the copies of all tabs. */
    share(stored: readonly Entry[]) {
      send({ put: stored })
      put(stored)
    },

    /** Removes operations in all tabs, and settles them with their results. */
    finish(checklistId: string, settled: readonly Settled[]) {
      send({ left: settled, checklistId })
      leave(checklistId, settled)
    },

    removeWrite(write: Write) {
      writes = writes.filter(other => other !== write)
    }
  }

  function listOf(id: string): EntryList {
    let list = lists.get(id)
    if (!list) {
      list = { id, stored: [], entries: [] }
      lists.set(id, list)
    }
    return list
  }

  function addWrite(write: Pick<Write, 'checklistId' | 'op' | 'target' | 'into'>, isFixed = false) {
    writes.push({ ...write, seq: ++lastSeq, isSent: false, isFixed })
  }

  /** Adds or replaces stored entries. */
  function put(entries: readonly Entry[]) {
    for (const entry of entries) putOne(entry)
    for (const id of new Set(entries.map(({ checklistId }) => checklistId))) refresh(id)
  }

  function putOne(entry: Entry) {
    const { opId } = entry.op
    if (gone.has(opId)) return
    const own = writes.filter(({ checklistId }) => checklistId === entry.checklistId)
    // Another tab has stored a later write of this tab: the order would be lost.
    if (own.findIndex(write => write.op.opId === opId) > 0) return
    writes = writes.filter(write => write.op.opId !== opId)
    const { stored } = listOf(entry.checklistId)
    let at = stored.length
    while (at > 0 && (stored[at - 1] as Entry).seq > entry.seq) at--
    const old = stored[at - 1]
    if (old?.seq !== entry.seq) stored.splice(at, 0, entry)
    // Messages of two tabs may arrive in the wrong order.
    else if (entry.version > old.version || (entry.version === old.version && entry.isSent)) {
      stored[at - 1] = entry
      moveWaiters(old.op.opId, opId)
    }
  }

  /** Removes operations, and settles them with their results. */
  function leave(checklistId: string, settled: readonly Settled[]) {
    for (const { entry, result } of settled) if (entry) onResult(entry, result)
    const left = new Set(settled.map(({ result }) => result.opId))
    if (gone.size > maxGone) gone.clear()
    for (const opId of left) gone.add(opId)
    writes = writes.filter(({ op }) => !left.has(op.opId))
    const list = listOf(checklistId)
    list.stored = list.stored.filter(({ op }) => !left.has(op.opId))
    refresh(checklistId)
    for (const { result } of settled) settle(result)
  }

  /** Calculates the entries of a checklist from the stored ones and the writes. */
  function refresh(checklistId: string) {
    const list = listOf(checklistId)
    const entries: (Entry | null)[] = [...list.stored]
    const own = writes.filter(write => write.checklistId === checklistId)
    const places = new Map<string | undefined, number>()
    if (own.some(({ target }) => target))
      for (const [index, { op, isSent }] of list.stored.entries())
        if (!isSent) places.set(op.opId, index)
    for (const { op, target, into, seq, isSent } of own) {
      const at = places.get(target) ?? entries.length
      const old = entries[at]
      if (old) entries[at] = into ? { ...old, op: into } : null
      else entries.push({ seq, checklistId, op, version: 0, isSent })
      places.delete(target)
      // When the target has changed, a later write must not replace this operation by one that contains both.
      if (!isSent && (old || !target)) places.set(op.opId, at)
    }
    list.entries = entries.filter(entry => entry !== null)
    onChange(checklistId)
  }

  function settle(result: Result) {
    for (const resolve of waiters.get(result.opId) ?? []) resolve(result)
    waiters.delete(result.opId)
  }

  function moveWaiters(from: string, to: string) {
    if (from === to) return
    const moved = [...(waiters.get(from) ?? []), ...(waiters.get(to) ?? [])]
    waiters.delete(from)
    if (moved.length > 0) waiters.set(to, moved)
  }
}

export const noop = (opId: string): Settled => ({ result: { opId, outcome: 'noop' } })
