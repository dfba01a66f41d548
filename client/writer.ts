import { type Entries, type Message, noop, type Write } from './entries.ts'
import type { Writable } from './readable.ts'
import type { Entry } from './storage.ts'
import type { LogLine } from './types.ts'
import type { UserStore } from './user-store.ts'

export interface WriterParts {
  entries: Entries
  store: UserStore
  isStored: Writable<boolean>
  isLeader: () => boolean
  log: (line: LogLine) => void
  closed: AbortSignal
  send: (message: Message) => void
  /** called when all is stored, and after a failure */
  onIdle: () => void
}

export type Writer = ReturnType<typeof createWriter>

/** Stores the writes of a tab in order, and keeps its copy of the entries equal to the store. */
export function createWriter({
  entries,
  store,
  isStored,
  isLeader,
  log,
  closed,
  send,
  onIdle
}: WriterParts) {
  let isLoaded = false
  let isWriting = false

  return { writeAll, reload, fail }

  /** Compares the entries with the store again: messages may have been missed. */
  function reload() {
    isLoaded = false
    void writeAll()
  }

  /** Loads the entries if necessary, then stores all that is not stored yet, in order. */
  async function writeAll() {
    if (isWriting) return
    isWriting = true
    try {
      for (;;) {
        const [write] = entries.writes()
        if (closed.aborted) return
        if (!isLoaded) await load()
        else if (write) await storeOne(write)
        else break
      }
      isStored.set(true)
    } catch (error) {
      fail(error)
    } finally {
      isWriting = false
      onIdle()
    }
  }

  async function load() {
    isLoaded = true
    const known = new Set([...entries.lists.values()].flatMap(({ stored }) => stored.map(seqOf)))
    const rows = await store.use(opened => opened.entries())
    const seqs = new Set(rows.map(seqOf))
    for (const { id, stored } of entries.lists.values()) {
      // Another tab has received the results.
      const lost = stored.filter(({ seq }) => known.has(seq) && !seqs.has(seq))
      if (lost.length > 0)
        entries.leave(
          id,
          lost.map(({ op }) => noop(op.opId))
        )
    }
    // A transaction that took too long may have been tried again, and then both were committed.
    const opIds = new Set(entries.gone)
    const [kept, extra]: [Entry[], number[]] = [[], []]
    for (const row of rows) {
      if (opIds.has(row.op.opId)) extra.push(row.seq)
      else kept.push(row)
      opIds.add(row.op.opId)
    }
    entries.put(kept)
    // A tab that was closed while it stored an entry may not have sent it to the leader.
    if (kept.length > 0 && !isLeader()) send({ hasLoaded: true })
    if (extra.length > 0) await store.use(opened => opened.remove(extra))
  }

  async function storeOne(write: Write) {
    write.isFixed = true
    const { checklistId, op, target, into = null } = write
    const { stored } = entries.listOf(checklistId)
    const last = stored.find(entry => entry.op.opId === target && !entry.isSent)
    const done = await store.use(opened =>
      opened.append(checklistId, op, last && { seq: last.seq, opId: last.op.opId, into })
    )
    if ('removed' in done)
      return entries.finish(checklistId, [last?.op.opId ?? op.opId, op.opId].map(noop))
    const { seq } = done.entry
    // It left, or another tab stored it, meanwhile.
    if (!entries.writes().includes(write)) return store.use(opened => opened.remove([seq]))
    const sent = write.isSent && (await store.use(opened => opened.markSent([seq])))
    entries.removeWrite(write)
    // Another tab has changed the target: later writes contain a combination that was not stored.
    if (target && done.entry.op !== into)
      for (const later of entries.writes()) if (later.target === op.opId) later.target = undefined
    entries.share(sent || [done.entry])
  }

  /** Goes on in memory. */
  function fail(error: unknown) {
    if (closed.aborted) return
    const message = 'storage failed: changes are not stored on this device'
    if (isStored.get()) log({ level: 'warn', message, error })
    isLoaded = false
    isStored.set(false)
    const writes = entries.writes()
    const isShared = !isLeader() && writes.length > 0
    for (const write of writes) {
      // While nothing can be stored, what is stored does not change.
      write.target = undefined
      write.isFixed = isShared
    }
    for (const id of new Set(writes.map(({ checklistId }) => checklistId))) entries.refresh(id)
    if (isShared)
      send({ put: writes.map(({ target, into, isFixed, ...entry }) => ({ ...entry, version: 0 })) })
  }
}

const seqOf = ({ seq }: Entry) => seq
