import { ConcordError } from './errors.ts'
import type { Link } from './link.ts'
import { type Readable, writable } from './readable.ts'
import type { Entry, Storage, Store } from './storage.ts'
import type { Bus } from './tabs.ts'
import type {
  Call,
  ChecklistData,
  Clock,
  LogLine,
  Operation,
  Result,
  Sent,
  Session
} from './types.ts'

const limits = {
  /** operations of one user on one device that the service has not confirmed, and their JSON in bytes */
  unsent: 10_000,
  unsentBytes: 20 << 20,
  /** of one push; the service allows 100 operations and 256 KiB */
  push: 100,
  pushBytes: 200_000,
  parallelPushes: 4,
  /** time after which a transaction counts as failed */
  transactionMs: 5_000,
  /** time between two tries to store what could not be stored */
  storeAgainMs: 30_000,
  /** time before the next push after a refusal without `retryAfterMs` */
  pushAgainMs: 2_000,
  /** time before the next push of a user who had no right to change the checklist */
  resumeMs: 30_000,
  /** time between two comparisons with the store */
  reloadMs: 30_000
}

/** Entries that are not stored have numbers above this one: they follow all stored entries. */
const UNSTORED = 2 ** 52

export interface OutboxParts {
  session: {
    state: Readable<Session>
    request<T>(method: string, path: string, options?: Call & { body?: unknown }): Promise<T>
  }
  storage: Storage
  link: Pick<Link, 'isLeader' | 'canPush' | 'push'>
  bus: Bus
  clock: Clock
  log: (line: LogLine) => void
  /** Calls `run` when the page becomes visible again. */
  onShow: (run: () => void) => () => void
}

export type Outbox = ReturnType<typeof createOutbox>

/** Why the entries of a checklist are not sent: the user may not write to it, or it is deleted. */
type Pause = 'forbidden' | 'deleted'

interface List {
  id: string
  /** the entries as the store has them, in order of `seq` */
  stored: Entry[]
  /** `stored` with the writes that are not stored yet; a new array after each change */
  entries: readonly Entry[]
  pause?: Pause
  isPushing: boolean
  /** how many operations are pushed one by one, because a push that contained them was refused */
  singles: number
  /** stops waiting for the next push; undefined when not waiting */
  stopWaiting?: () => void
  /** stops the timer that ends `pause` */
  stopPause?: () => void
}

/** An operation that is not stored yet. */
interface Write {
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

interface Settled {
  entry: Entry
  result: Result
}

/** A message between the tabs of one user. */
type Message = { userId: string } & (
  | { put: Entry[] }
  | { settled: Settled[] }
  | { left: { checklistId: string; results: Result[] } }
  | { adopt: Pick<Write, 'checklistId' | 'op' | 'target' | 'into'>[] }
  | { resume: string }
  | { hasLoaded: true }
)

/**
 * Contains the operations of this device that the service has not confirmed. Every tab has a copy of the stored
 * entries, which messages between the tabs keep up to date; one tab, the leader, sends them. When a tab missed a result
 * (because it was frozen), its `settled` resolves with `noop`, and the checklist itself shows what happened.
 *
 * Two leaders at once do no harm: the service returns the first result to an operation that is sent again.
 */
export function createOutbox({ session, storage, link, bus, clock, log, onShow }: OutboxParts) {
  const isStored = writable(true)
  const unsent = writable(0)
  const userId = writable<string | null>(null)
  const changeRuns = new Set<(checklistId: string) => void>()
  const resultRuns = new Set<(entry: Entry, result: Result) => void>()
  const sizes = new WeakMap<Operation, number>()

  // The data of the user. `life` is another object for each user, so that a function that waited can find out.
  let life = {}
  let lists = new Map<string, List>()
  let writes: Write[] = []
  let store: Promise<Store> | undefined
  let isLoaded = false
  let isWriting = false
  let pushes = 0
  /** An upper bound: it also counts operations that have left. */
  let bytes = 0
  /** Ids of operations that have left: a message that arrives late does not add them again. */
  const gone = new Set<string>()
  const waiters = new Map<string, ((result: Result) => void)[]>()
  let lastSeq = UNSTORED
  let stopWriteAgain = () => {}
  let stopSocket: (() => void) | undefined

  const undo = [
    bus.on<Message>('outbox', receive),
    onShow(reload),
    link.isLeader.subscribe(reload),
    reloadRegularly(),
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

    /** Returns the entries of a checklist in order: a new array after each change, else the same. */
    entries: (checklistId: string): readonly Entry[] => lists.get(checklistId)?.entries ?? NONE,
    checkLimits,
    add,
    discard,

    /** Stops sending the entries of a checklist until `resume`, a reconnect, or the end of a pause. */
    pause(checklistId: string, reason: Pause) {
      pause(listOf(checklistId), reason)
    },

    resume(checklistId: string) {
      send({ resume: checklistId })
      resume(listOf(checklistId))
    },

    /** Calls `run` when the entries of a checklist have changed. */
    onChange: (run: (checklistId: string) => void) => addTo(changeRuns, run),
    /** Calls `run` with each result, in every tab, before the entry leaves `entries`. */
    onResult: (run: (entry: Entry, result: Result) => void) => addTo(resultRuns, run),

    /** Returns the stored copy of a checklist. Returns undefined when there is none or the storage fails. */
    copy: (checklistId: string): Promise<ChecklistData | undefined> =>
      inStore(opened => opened.checklist(checklistId)).catch(() => undefined),
    /** Stores a copy of a checklist, unless the storage fails. */
    saveCopy: (checklist: ChecklistData): Promise<void> =>
      inStore(opened => opened.saveChecklist(checklist)).catch(() => {}),
    removeCopy: (checklistId: string): Promise<void> =>
      inStore(opened => opened.removeChecklist(checklistId)).catch(() => {}),

    close() {
      for (const run of undo) run()
      forget()
    }
  }

  // The user

  function use(next: string | null) {
    if (next === userId.get()) return
    const ids = [...lists.keys()]
    const opIds = [...waiters.keys()]
    forget()
    isStored.set(true)
    unsent.set(0)
    userId.set(next)
    for (const id of ids) notify(id)
    for (const opId of opIds) settle({ opId, outcome: 'dropped' })
    void writeAll()
  }

  function forget() {
    for (const list of lists.values()) {
      list.stopWaiting?.()
      list.stopPause?.()
    }
    closeStore()
    stopWriteAgain()
    life = {}
    lists = new Map()
    writes = []
    bytes = 0
    isLoaded = false
    isWriting = false
    gone.clear()
    updateInterest()
  }

  // The copy in this tab

  function listOf(id: string): List {
    let list = lists.get(id)
    if (!list) {
      list = { id, stored: [], entries: NONE, isPushing: false, singles: 0 }
      lists.set(id, list)
    }
    return list
  }

  /** Throws LIMIT when too many operations wait on this device, and SIGNED_OUT when they belong to no user. */
  function add(
    checklistId: string,
    op: Operation,
    combine?: { entry: Entry; into: Operation | null }
  ): Sent {
    if (userId.get() === null) throw new ConcordError('SIGNED_OUT', 'sign in first')
    checkLimits([op])
    bytes += sizeOf(op)
    const settled = new Promise<Result>(resolve => waiters.set(op.opId, [resolve]))
    const target = combine?.entry.op.opId
    const last = writes.find(write => write.op.opId === target && !write.target && !write.isFixed)
    if (combine && target && last && !last.isSent) {
      if (combine.into) {
        last.op = combine.into
        moveWaiters(target, combine.into.opId)
      } else {
        writes = writes.filter(write => write !== last)
        for (const opId of [target, op.opId]) settle({ opId, outcome: 'noop' })
      }
    } else {
      // While nothing can be stored, what is stored does not change.
      const combined = isStored.get() && combine && { target, into: combine.into }
      addWrite({ checklistId, op, ...combined })
    }
    refresh(listOf(checklistId))
    void writeAll()
    return { opId: op.opId, settled }
  }

  /** Throws LIMIT when there is no room for these operations. */
  function checkLimits(ops: readonly Operation[]) {
    let size = 0
    for (const op of ops) size += sizeOf(op)
    if (bytes + size > limits.unsentBytes) {
      bytes = 0
      for (const { entries } of lists.values())
        for (const entry of entries) bytes += sizeOf(entry.op)
    }
    if (unsent.get() + ops.length > limits.unsent || bytes + size > limits.unsentBytes)
      throw new ConcordError('LIMIT', 'too many unsent changes on this device')
  }

  function addWrite(write: Pick<Write, 'checklistId' | 'op' | 'target' | 'into'>, isFixed = false) {
    writes.push({ ...write, seq: ++lastSeq, isSent: false, isFixed })
  }

  /** Adds or replaces the stored entry with the same `seq`. */
  function put(entry: Entry) {
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
    else if (old.op.opId !== opId || entry.isSent !== old.isSent) {
      // Messages of two tabs may arrive in the wrong order: an entry that was sent stays sent.
      if (old.isSent) return
      stored[at - 1] = entry
      moveWaiters(old.op.opId, opId)
    }
    bytes += sizeOf(entry.op)
  }

  /** Removes operations, and settles them with their results. */
  function leave(checklistId: string, results: Result[]) {
    const left = new Set(results.map(({ opId }) => opId))
    if (gone.size > limits.unsent) gone.clear()
    for (const opId of left) gone.add(opId)
    writes = writes.filter(({ op }) => !left.has(op.opId))
    const list = listOf(checklistId)
    list.stored = list.stored.filter(({ op }) => !left.has(op.opId))
    refresh(list)
    for (const result of results) settle(result)
  }

  /** Calculates `entries` from the stored ones and the writes. */
  function refresh(list: List) {
    const entries: (Entry | null)[] = [...list.stored]
    const own = writes.filter(({ checklistId }) => checklistId === list.id)
    const places = new Map<string | undefined, number>()
    if (own.some(({ target }) => target))
      for (const [index, { op, isSent }] of list.stored.entries())
        if (!isSent) places.set(op.opId, index)
    for (const { checklistId, op, target, into, seq, isSent } of own) {
      const at = places.get(target) ?? entries.length
      const old = entries[at]
      if (old) entries[at] = into ? { ...old, op: into } : null
      else entries.push({ seq, checklistId, op, isSent })
      places.delete(target)
      // When the target has changed, a later write must not replace this operation by one that contains both.
      if (!isSent && (old || !target)) places.set(op.opId, at)
    }
    list.entries = entries.filter(entry => entry !== null)
    let many = 0
    for (const { entries } of lists.values()) many += entries.length
    unsent.set(many)
    updateInterest()
    notify(list.id)
  }

  function notify(checklistId: string) {
    for (const run of [...changeRuns]) call(() => run(checklistId))
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

  function settle(result: Result, opId = result.opId) {
    for (const resolve of waiters.get(opId) ?? []) resolve(result)
    waiters.delete(opId)
  }

  function moveWaiters(from: string, to: string) {
    if (from === to) return
    const moved = [...(waiters.get(from) ?? []), ...(waiters.get(to) ?? [])]
    waiters.delete(from)
    if (moved.length > 0) waiters.set(to, moved)
  }

  function sizeOf(op: Operation): number {
    let size = sizes.get(op)
    if (size === undefined) {
      size = encoder.encode(JSON.stringify(op)).length
      sizes.set(op, size)
    }
    return size
  }

  // The other tabs

  function send(
    message: Message extends infer M ? (M extends Message ? Omit<M, 'userId'> : never) : never
  ) {
    bus.send('outbox', { userId: userId.get(), ...message })
  }

  function receive(message: Message) {
    if (message.userId !== userId.get()) return
    if ('put' in message) putAll(message.put)
    else if ('settled' in message) arrive(message.settled)
    else if ('left' in message) leave(message.left.checklistId, message.left.results)
    else if ('resume' in message) resume(listOf(message.resume))
    else if (!link.isLeader.get()) return
    else if ('hasLoaded' in message) reload()
    else {
      for (const write of message.adopt) {
        const { opId } = write.op
        const isKnown =
          gone.has(opId) ||
          [...writes, ...listOf(write.checklistId).stored].some(({ op }) => op.opId === opId)
        if (isKnown) continue
        addWrite(write, true)
        refresh(listOf(write.checklistId))
      }
      void writeAll()
    }
  }

  function putAll(entries: Entry[]) {
    for (const entry of entries) put(entry)
    for (const id of new Set(entries.map(({ checklistId }) => checklistId))) {
      refresh(listOf(id))
      void push(listOf(id))
    }
  }

  function arrive(settled: Settled[]) {
    for (const { entry, result } of settled)
      for (const run of [...resultRuns]) call(() => run(entry, result))
    const [first] = settled
    if (first)
      leave(
        first.entry.checklistId,
        settled.map(({ result }) => result)
      )
  }

  // The store

  async function inStore<T>(run: (opened: Store) => Promise<T>): Promise<T> {
    const id = userId.get()
    if (id === null) throw new Error('no user is signed in')
    store ??= storage.open(id)
    const opening = store
    return withTimeout(
      opening.then(run, error => {
        if (store === opening) store = undefined
        throw error
      })
    )
  }

  function closeStore() {
    store?.then(
      opened => opened.close(),
      () => {}
    )
    store = undefined
  }

  /**
   * Rejects when a transaction takes too long: browsers have had faults in which it never ends. Waits in two steps,
   * because the first timer runs at once after the device was asleep.
   */
  function withTimeout<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      let stop = clock.setTimeout(() => {
        stop = clock.setTimeout(
          () => reject(new Error('the storage did not respond')),
          limits.transactionMs / 2
        )
      }, limits.transactionMs / 2)
      promise.then(resolve, reject).finally(() => stop())
    })
  }

  /** Compares the entries with the store again: messages may have been missed. */
  function reload() {
    isLoaded = false
    void writeAll()
  }

  /** A tab that crashes after it has stored an operation tells no other tab about it. */
  function reloadRegularly(): () => void {
    let stop = () => {}
    wait()
    return () => stop()

    function wait() {
      stop = clock.setTimeout(() => {
        if (link.isLeader.get()) reload()
        wait()
      }, limits.reloadMs)
    }
  }

  /** Loads the entries if necessary, then stores all that is not stored yet, in order. */
  async function writeAll() {
    if (isWriting || userId.get() === null) return
    const mine = life
    isWriting = true
    try {
      while (mine === life && (!isLoaded || writes.length > 0))
        await (isLoaded ? writeNext(writes[0] as Write) : load())
      if (mine === life) isStored.set(true)
    } catch (error) {
      if (mine === life) fail(error)
    } finally {
      if (mine === life) {
        isWriting = false
        pushAll()
      }
    }
  }

  async function load() {
    const mine = life
    isLoaded = true
    const known = [...lists.values()].flatMap(({ stored }) => stored)
    const rows = await inStore(opened => opened.entries())
    if (mine !== life) return
    const seqs = new Set(rows.map(({ seq }) => seq))
    // Another tab has received the results.
    for (const id of lists.keys()) {
      const lost = known.filter(({ seq, checklistId }) => checklistId === id && !seqs.has(seq))
      if (lost.length > 0)
        leave(
          id,
          lost.map(({ op: { opId } }) => ({ opId, outcome: 'noop' }))
        )
    }
    // A transaction that took too long may have been tried again, and then both were committed.
    const opIds = new Set(gone)
    const [kept, extra]: [Entry[], number[]] = [[], []]
    for (const row of rows) {
      if (opIds.has(row.op.opId)) extra.push(row.seq)
      else kept.push(row)
      opIds.add(row.op.opId)
    }
    putAll(kept)
    // A tab that was closed while it stored an entry may not have sent it to the leader.
    if (kept.length > 0 && !link.isLeader.get()) send({ hasLoaded: true })
    if (extra.length > 0) await inStore(opened => opened.remove(extra))
  }

  async function writeNext(write: Write) {
    const mine = life
    write.isFixed = true
    const { checklistId, op, target, into = null } = write
    const list = listOf(checklistId)
    const last = list.stored.find(entry => entry.op.opId === target && !entry.isSent)
    const done = await inStore(opened =>
      opened.append(checklistId, op, last && { seq: last.seq, opId: last.op.opId, into })
    )
    if (mine !== life) return
    if ('removed' in done) {
      const results = [last?.op.opId ?? op.opId, op.opId].map(
        (opId): Result => ({ opId, outcome: 'noop' })
      )
      leave(checklistId, results)
      send({ left: { checklistId, results } })
    } else if (!writes.includes(write)) {
      // It left, or another tab stored it, meanwhile.
      await inStore(opened => opened.remove([done.entry.seq]))
    } else {
      const { seq } = done.entry
      const sent = write.isSent && (await inStore(opened => opened.markSent([seq])))
      if (mine !== life) return
      writes = writes.filter(other => other !== write)
      // Another tab has changed the target: later writes contain a combination that was not stored.
      if (target && done.entry.op !== into)
        for (const later of writes) if (later.target === op.opId) later.target = undefined
      const entries = sent || [done.entry]
      send({ put: entries })
      putAll(entries)
    }
  }

  /** Goes on in memory. */
  function fail(error: unknown) {
    if (isStored.get())
      log({
        level: 'warn',
        message: 'storage failed: changes are not stored on this device',
        error
      })
    for (const write of writes) {
      write.target = undefined
      write.isFixed = false
    }
    isLoaded = false
    isStored.set(false)
    for (const id of new Set(writes.map(({ checklistId }) => checklistId))) refresh(listOf(id))
    if (!link.isLeader.get() && writes.length > 0) {
      send({ adopt: writes.map(({ checklistId, op }) => ({ checklistId, op })) })
      for (const write of writes) write.isFixed = true
    }
    stopWriteAgain()
    stopWriteAgain = clock.setTimeout(() => void writeAll(), limits.storeAgainMs)
  }

  async function discard(checklistId: string): Promise<void> {
    const { stored, entries } = listOf(checklistId)
    const ops = [...entries, ...writes.filter(write => write.checklistId === checklistId)]
    const results = ops.map(({ op }): Result => ({ opId: op.opId, outcome: 'dropped' }))
    const seqs = stored.map(({ seq }) => seq)
    leave(checklistId, results)
    send({ left: { checklistId, results } })
    await inStore(opened => opened.remove(seqs)).catch(fail)
  }

  // The leader sends

  function pushAll() {
    for (const list of lists.values()) void push(list)
  }

  function pause(list: List, reason: Pause) {
    list.pause = reason
    // The checklist calls `resume` when it can be changed again, if a tab has it open.
    list.stopPause?.()
    list.stopPause = clock.setTimeout(() => resume(list), limits.resumeMs)
    updateInterest()
  }

  function resume(list: List) {
    list.pause = undefined
    list.stopPause?.()
    stopWaiting(list)
    updateInterest()
    void push(list)
  }

  function resumeAll() {
    for (const list of lists.values()) resume(list)
  }

  /** Keeps the socket open while there is something to push. */
  function updateInterest() {
    const all = [...lists.values()]
    if (!all.some(({ pause, entries }) => !pause && entries.length > 0)) {
      stopSocket?.()
      stopSocket = undefined
    } else if (!stopSocket) {
      let isFirst = true
      stopSocket = link.canPush.subscribe(canPush => {
        if (canPush && !isFirst) resumeAll()
      })
      isFirst = false
    }
  }

  function wait(list: List, ms: number) {
    stopWaiting(list)
    list.stopWaiting = clock.setTimeout(() => {
      list.stopWaiting = undefined
      resume(list)
    }, ms)
  }

  function stopWaiting(list: List) {
    list.stopWaiting?.()
    list.stopWaiting = undefined
  }

  /** Pushes the first entries of a checklist, unless it has to wait. One push at a time. */
  async function push(list: List) {
    if (!link.isLeader.get() || !link.canPush.get()) return
    if (list.isPushing || list.stopWaiting || pushes >= limits.parallelPushes) return
    let batch = nextBatch(list)
    if (batch.length === 0) return
    const mine = life
    list.isPushing = true
    pushes++
    try {
      batch = await markSent(list, batch)
      const ops = batch.map(({ op }) => op)
      if (mine !== life || ops.length === 0) return
      const results = await link.push(list.id, ops)
      if (mine === life) await receiveResults(list, batch, results)
    } catch (error) {
      if (mine === life) await handleRefusal(list, batch, error as ConcordError)
    } finally {
      list.isPushing = false
      pushes--
      pushAll()
    }
  }

  function nextBatch(list: List): Entry[] {
    if (list.pause === 'forbidden') return []
    const many = list.singles > 0 ? 1 : limits.push
    const targets = new Set(writes.map(({ target }) => target))
    const batch: Entry[] = []
    let size = 0
    for (const entry of isStored.get() ? list.stored : list.entries) {
      // A deleted checklist accepts nothing but its restoration.
      if (list.pause && entry.op.kind !== 'list.restore') continue
      size += sizeOf(entry.op)
      const isChanging = !entry.isSent && targets.has(entry.op.opId)
      if (isChanging || batch.length >= many || (batch.length > 0 && size > limits.pushBytes)) break
      batch.push(entry)
    }
    return batch
  }

  /** Marks entries as sent, in the store first if it works. Returns them as they are then. */
  async function markSent(list: List, batch: Entry[]): Promise<Entry[]> {
    let sent = batch.map(entry => ({ ...entry, isSent: true }))
    for (const entry of sent) {
      const write = writes.find(({ seq }) => seq === entry.seq)
      if (write) write.isSent = true
      else put(entry)
    }
    refresh(list)
    const seqs = sent.flatMap(({ seq }) => (seq < UNSTORED ? seq : []))
    if (!isStored.get() || seqs.length === 0) return sent
    const mine = life
    try {
      sent = await inStore(opened => opened.markSent(seqs))
    } catch (error) {
      if (mine === life) fail(error)
      return sent
    }
    if (mine !== life) return []
    send({ put: sent })
    putAll(sent)
    if (sent.length < seqs.length) reload()
    return sent
  }

  async function receiveResults(list: List, batch: Entry[], results: Result[]) {
    const mine = life
    // After some days, the service has forgotten that the user has been a member, and returns `not_found`.
    const isHidden = results.some(({ code }) => code === 'not_found') && !(await canRead(list.id))
    if (mine !== life) return
    const settled: Settled[] = []
    for (const [index, entry] of batch.entries()) {
      const result = results[index]
      if (!result) continue
      const { outcome, code } = result
      if (outcome === 'rejected' && code === 'list_deleted') pause(list, 'deleted')
      else if (
        outcome === 'rejected' &&
        (code === 'forbidden' || (isHidden && code === 'not_found'))
      )
        pause(list, 'forbidden')
      else {
        settled.push({ entry, result: { ...result, opId: entry.op.opId } })
        if (entry.op.kind === 'list.restore') resume(list)
      }
    }
    list.singles = Math.max(0, list.singles - batch.length)
    finish(settled)
  }

  function finish(settled: Settled[]) {
    if (settled.length === 0) return
    send({ settled })
    arrive(settled)
    const seqs = settled.flatMap(({ entry: { seq } }) => (seq < UNSTORED ? seq : []))
    // If they remain in the store, they are sent again, and the service returns the same results.
    inStore(opened => opened.remove(seqs)).catch(fail)
  }

  async function canRead(checklistId: string): Promise<boolean> {
    try {
      await session.request('GET', `/checklists/${checklistId}`)
      return true
    } catch (error) {
      return (error as ConcordError).status !== 404
    }
  }

  async function handleRefusal(list: List, batch: Entry[], error: ConcordError) {
    const { code, retryAfterMs } = error
    log({ level: 'debug', message: `push refused: ${code}`, checklistId: list.id })
    if (code === 'CHECKLIST_NOT_FOUND') pause(list, 'forbidden')
    else if (code === 'CHECKLIST_DELETED') pause(list, 'deleted')
    else if (!MALFORMED.test(code)) wait(list, retryAfterMs ?? limits.pushAgainMs)
    else if (batch.length > 1) list.singles = batch.length
    else await sendByRequest(list, batch)
  }

  /**
   * Sends one operation with a request: an error of a socket may be about another message, and an operation must not be
   * deleted for it.
   */
  async function sendByRequest(list: List, batch: Entry[]) {
    const mine = life
    const { op } = batch[0] as Entry
    try {
      const { results } = await session.request<{ results: Result[] }>(
        'POST',
        `/checklists/${list.id}/ops`,
        { body: { ops: [op] } }
      )
      if (mine === life) await receiveResults(list, batch, results)
    } catch (error) {
      if (mine !== life) return
      if (/^(400|413|422)$/.test(`${(error as ConcordError).status}`))
        await receiveResults(list, batch, [{ opId: op.opId, outcome: 'rejected', code: 'invalid' }])
      else wait(list, limits.pushAgainMs)
    }
  }
}

const NONE: readonly Entry[] = []

const encoder = new TextEncoder()

/** Codes of messages that the service will never accept. */
const MALFORMED = /^(BAD_MESSAGE|FST_ERR_VALIDATION|TOO_LARGE|INVALID)$/

function addTo<T>(set: Set<T>, value: T): () => void {
  set.add(value)
  return () => set.delete(value)
}
