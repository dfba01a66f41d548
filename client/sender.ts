import { type Entries, UNSTORED } from './entries.ts'
import type { ConcordError } from './errors.ts'
import type { Link } from './link.ts'
import { sizeOf } from './operation-size.ts'
import type { Readable } from './readable.ts'
import { asAdd } from './replay.ts'
import type { Entry } from './storage.ts'
import type { Call, ChecklistData, Clock, Item, LogLine, Operation, Result } from './types.ts'
import type { UserStore } from './user-store.ts'
import type { Writer } from './writer.ts'

const limits = {
  /** of one push; the service allows 100 operations and 256 KiB */
  push: 100,
  pushBytes: 200_000,
  parallelPushes: 4,
  /** time before the next push after a refusal without `retryAfterMs` */
  pushAgainMs: 2_000,
  /** time before the next push of a user who had no right to change the checklist */
  resumeMs: 30_000
}

/** How the entries of one checklist are sent. */
interface Sending {
  isPushing: boolean
  /** true while it waits because the user may not write to the checklist, or because it is deleted */
  isPaused: boolean
  /** how many operations are pushed one by one, because a push that contained them was refused */
  singles: number
  /** stops waiting for the next push; undefined when not waiting */
  stopWaiting?: () => void
}

export interface SenderParts {
  entries: Entries
  store: UserStore
  isStored: Readable<boolean>
  session: {
    request<T>(method: string, path: string, options?: Call & { body?: unknown }): Promise<T>
  }
  link: Pick<Link, 'isLeader' | 'canPush' | 'push'>
  clock: Clock
  log: (line: LogLine) => void
  closed: AbortSignal
  writer: Pick<Writer, 'fail' | 'reload'>
  /** Called when the entries of a checklist begin or stop to wait. */
  onPause: (checklistId: string) => void
}

/** Sends the entries of one user, when this tab is the leader: one push at a time for each checklist. */
export function createSender({
  entries,
  store,
  isStored,
  session,
  link,
  clock,
  log,
  closed,
  writer,
  onPause
}: SenderParts) {
  const sendings = new Map<string, Sending>()
  let pushes = 0
  let stopSocket: (() => void) | undefined

  closed.addEventListener('abort', () => {
    for (const sending of sendings.values()) stopWaiting(sending)
    stopSocket?.()
  })

  return { push, pushAll, pause, resume, updateInterest, isPaused }

  /** Returns whether the entries of a checklist wait because the user may not change it. */
  function isPaused(id: string): boolean {
    return sendings.get(id)?.isPaused ?? false
  }

  function sendingOf(id: string): Sending {
    let sending = sendings.get(id)
    if (!sending) {
      sending = { isPushing: false, isPaused: false, singles: 0 }
      sendings.set(id, sending)
    }
    return sending
  }

  function pushAll() {
    for (const id of entries.lists.keys()) void push(id)
  }

  /** Stops sending the entries of a checklist until `resume`, a reconnect, or the end of a pause. */
  function pause(id: string) {
    sendingOf(id).isPaused = true
    onPause(id)
    // The checklist calls `resume` when it can be changed again, if a tab has it open.
    wait(id, limits.resumeMs)
    updateInterest()
  }

  function resume(id: string) {
    const sending = sendingOf(id)
    if (sending.isPaused) {
      sending.isPaused = false
      onPause(id)
    }
    stopWaiting(sending)
    updateInterest()
    void push(id)
  }

  /** Keeps the socket open while there is something to push. */
  function updateInterest() {
    const isIdle = [...entries.lists.values()].every(
      ({ id, entries }) => entries.length === 0 || sendings.get(id)?.isPaused
    )
    if (isIdle || closed.aborted) {
      stopSocket?.()
      stopSocket = undefined
    } else if (!stopSocket) {
      let isFirst = true
      stopSocket = link.canPush.subscribe(canPush => {
        if (canPush && !isFirst) for (const id of entries.lists.keys()) resume(id)
      })
      isFirst = false
    }
  }

  function wait(id: string, ms: number) {
    const sending = sendingOf(id)
    stopWaiting(sending)
    if (!closed.aborted) sending.stopWaiting = clock.setTimeout(() => resume(id), ms)
  }

  function stopWaiting(sending: Sending) {
    sending.stopWaiting?.()
    sending.stopWaiting = undefined
  }

  /** Pushes the first entries of a checklist, unless it has to wait. */
  async function push(id: string) {
    if (closed.aborted || !link.isLeader.get() || !link.canPush.get()) return
    const sending = sendingOf(id)
    if (sending.isPushing || pushes >= limits.parallelPushes) return
    let batch = nextBatch(id, sending)
    if (batch.length === 0) return
    sending.isPushing = true
    pushes++
    try {
      batch = await markSent(id, batch)
      if (closed.aborted || batch.length === 0) return
      const results = await link.push(
        id,
        batch.map(({ op }) => op)
      )
      await receiveResults(id, batch, results)
    } catch (error) {
      await handleRefusal(id, batch, error as ConcordError)
    } finally {
      sending.isPushing = false
      pushes--
      pushAll()
    }
  }

  function nextBatch(id: string, { isPaused, singles, stopWaiting }: Sending): Entry[] {
    const list = entries.listOf(id)
    const all = isStored.get() ? list.stored : list.entries
    // A deleted checklist accepts nothing but its restoration.
    const allowed = isPaused ? all.filter(({ op }) => op.kind === 'list.restore') : all
    if (stopWaiting && (!isPaused || allowed.every(({ isSent }) => isSent))) return []
    const many = singles > 0 ? 1 : limits.push
    const targets = new Set(entries.writes().map(({ target }) => target))
    const batch: Entry[] = []
    let size = 0
    for (const entry of allowed) {
      size += sizeOf(entry.op)
      const isChanging = !entry.isSent && targets.has(entry.op.opId)
      if (isChanging || batch.length >= many || (batch.length > 0 && size > limits.pushBytes)) break
      batch.push(entry)
    }
    return batch
  }

  /** Marks entries as sent, in the store first if it works. Returns them as they are then. */
  async function markSent(id: string, batch: Entry[]): Promise<Entry[]> {
    const sent = batch.map(entry => ({ ...entry, isSent: true }))
    for (const write of entries.writes())
      if (sent.some(({ seq }) => seq === write.seq)) write.isSent = true
    const seqs = storedSeqs(sent)
    entries.put(sent.filter(({ seq }) => seq < UNSTORED))
    entries.refresh(id)
    if (!isStored.get() || seqs.length === 0) return sent
    try {
      const marked = await store.use(opened => opened.markSent(seqs))
      entries.share(marked)
      if (marked.length < seqs.length) writer.reload()
      return marked
    } catch (error) {
      writer.fail(error)
      return sent
    }
  }

  async function receiveResults(id: string, batch: Entry[], results: Result[]) {
    const isAnyMissing = results.some(({ code }) => code === 'not_found')
    const items = isAnyMissing ? await readItems(id) : []
    const decided = isAnyMissing && items ? await addAtEnd(id, batch, results, items) : results
    const settled: { entry: Entry; result: Result }[] = []
    for (const [index, entry] of batch.entries()) {
      const result = decided[index]
      if (!result) continue
      const code = result.outcome === 'rejected' ? `${result.code}` : ''
      if (/^(list_deleted|forbidden)$/.test(code) || (!items && code === 'not_found')) pause(id)
      else {
        settled.push({ entry, result: { ...result, opId: entry.op.opId } })
        if (entry.op.kind === 'list.restore') resume(id)
      }
    }
    const sending = sendingOf(id)
    sending.singles = Math.max(0, sending.singles - batch.length)
    if (settled.length === 0) return
    entries.finish(id, settled)
    // If they remain in the store, they are sent again, and the service returns the same results.
    const seqs = storedSeqs(settled.map(({ entry }) => entry))
    store.use(opened => opened.remove(seqs)).catch(writer.fail)
  }

  /** Returns undefined when the user has no access: after some days, the service returns `not_found` for that, too. */
  async function readItems(id: string): Promise<readonly Item[] | undefined> {
    try {
      return (await session.request<ChecklistData>('GET', `/checklists/${id}`)).items
    } catch (error) {
      if ((error as ConcordError).status !== 404) throw error
    }
  }

  /**
   * Adds again, below the last item, what was refused because its anchor or its item does not exist: the operation that
   * was to create that one has changed nothing, or the database was restored from a backup. Sends the other operations
   * that were refused as `not_found` again, too, because they may follow. Returns the results of the batch.
   */
  async function addAtEnd(
    id: string,
    batch: readonly Entry[],
    results: Result[],
    items: readonly Item[]
  ): Promise<Result[]> {
    const last = items.at(-1)?.id ?? null
    const added = new Set<string | null>()
    const missing = batch.filter((_, n) => results[n]?.code === 'not_found')
    const ops = missing.map(({ op }) => {
      const add = op.kind === 'item.set' && !added.has(op.itemId) ? asAdd(op, last) : op
      if (add?.kind !== 'item.add') return op
      for (const { itemId } of add.items ?? none) added.add(itemId)
      return added.has(add.after) ? add : { ...add, after: last }
    })
    if (added.size === 0) return results
    const again = await post(id, ops)
    return results.map(result => again.find(({ opId }) => opId === result.opId) ?? result)
  }

  async function post(id: string, ops: readonly Operation[]): Promise<Result[]> {
    const path = `/checklists/${id}/ops`
    return (await session.request<{ results: Result[] }>('POST', path, { body: { ops } })).results
  }

  async function handleRefusal(id: string, batch: Entry[], { code, retryAfterMs }: ConcordError) {
    log({ level: 'debug', message: `push refused: ${code}`, checklistId: id })
    if (/^CHECKLIST_(NOT_FOUND|DELETED)$/.test(code)) pause(id)
    else if (!MALFORMED.test(code)) wait(id, retryAfterMs ?? limits.pushAgainMs)
    else if (batch.length > 1) sendingOf(id).singles = batch.length
    else await sendByRequest(id, batch[0] as Entry)
  }

  /**
   * Sends one operation with a request: an error of a socket may be about another message, and an operation must not be
   * deleted for it.
   */
  async function sendByRequest(id: string, entry: Entry) {
    const { op } = entry
    try {
      await receiveResults(id, [entry], await post(id, [op]))
    } catch (error) {
      if (/^(400|413|422)$/.test(`${(error as ConcordError).status}`))
        await receiveResults(id, [entry], [{ opId: op.opId, outcome: 'rejected', code: 'invalid' }])
      else wait(id, limits.pushAgainMs)
    }
  }
}

const none: readonly never[] = []

const storedSeqs = (entries: Entry[]) => entries.flatMap(({ seq }) => (seq < UNSTORED ? seq : []))

/** Codes of messages that the service will never accept. */
const MALFORMED = /^(BAD_MESSAGE|FST_ERR_VALIDATION|TOO_LARGE|INVALID)$/
