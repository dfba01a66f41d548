import type { FastifyInstance } from 'fastify'
import { changesFrames, type LogEvent, membershipOf } from '../../../lib/event.ts'
import { memoize } from '../../../lib/memoize.ts'
import { textFrame } from '../../../lib/text-frame.ts'
import type { Role } from '../../../schemas/project.ts'
import { readChanges } from '../../../sql/changes.ts'
import type { ChecklistAt } from '../../../sql/checklists.ts'
import type { Subscriber } from '../../pubsub/pubsub.ts'
import { type SubscriberState, stateChanged } from '../subscriber-state.ts'
import type { Sender } from './sender.ts'

/** The checklist that a client opens, and the last revision that the client has, if any. */
export interface OpenRequest {
  checklistId: string
  since?: number
  epoch?: string
}

export interface SubscriptionParts {
  app: Pick<FastifyInstance, 'pubsub' | 'sql' | 'catchUp' | 'metrics'>
  userId: string
  request: OpenRequest
  sender: Sender
  onClosed: () => void
  /** Called when the database cannot be queried. */
  onFailure: (error: unknown) => void
}

const limits = {
  page: { limit: 500, bytes: 256 << 10 },
  // Events that arrive while the client catches up. When more arrive, they are read from the log again.
  backlog: { events: 5000, bytes: 4 << 20 }
}

/** Sends the past changes of one checklist from the log, then each change as it is committed. */
export class Subscription implements Subscriber {
  readonly #parts: SubscriptionParts
  readonly #checklistId: string
  #state: SubscriberState = 'catching_up'
  /** Aborts when the state changes. Undefined while nothing waits for that. */
  #leavingState: AbortController | undefined
  #backlog: LogEvent[] = []
  #backlogBytes = 0
  #unsubscribe = () => {}
  /** The last revision that was sent, and its epoch. `rev` is null before the first snapshot. */
  #rev: number | null = null
  #epoch: string
  /** Undefined until the checklist has been read. `pos` is the head of the log when it was read. */
  #projectId: string | undefined
  #pos = 0

  constructor(parts: SubscriptionParts) {
    this.#parts = parts
    const { checklistId, epoch = parts.app.pubsub.epoch } = parts.request
    this.#checklistId = checklistId
    this.#epoch = epoch
  }

  get state() {
    return this.#state
  }

  get rev() {
    return this.#rev
  }

  /** Sends a snapshot or the missed changes. Rejects with the errors of `GET /checklists/:checklistId`. */
  async start() {
    this.#rev = this.#parts.request.since ?? null
    await this.#catchUp(true)
  }

  receive(events: readonly LogEvent[]) {
    if (this.#state === 'catching_up') for (const event of events) this.#addToBacklog(event)
    else this.#sendNew(events)
  }

  reset() {
    this.resume()
  }

  resume(): Promise<void> {
    return this.#catchUp().catch(error => this.#fail(error))
  }

  lag() {
    if (this.#state !== 'closed') this.#enter('lagging')
  }

  onMembership(event: LogEvent) {
    if (this.#projectId === undefined) return this.#addToBacklog(event)
    if (this.#state === 'closed') return
    if (event.projectId !== this.#projectId || event.pos <= this.#pos) return
    const { role, project } = membershipOf(event)
    if (event.kind === 'member.updated') this.#revoke('role_changed', role)
    if (event.kind === 'member.removed') {
      this.#revoke(project.name === undefined ? 'deleted' : 'removed')
      this.close()
    }
  }

  close() {
    if (this.#state === 'closed') return
    this.#enter('closed')
    this.#parts.onClosed()
  }

  async #sendSnapshot(reason?: 'compacted' | 'restored') {
    const { app, userId, sender } = this.#parts
    const checklistId = this.#checklistId
    const signal = this.#subscribe()
    this.#projectId = undefined // positions of different epochs cannot be compared
    const checklist = await unlessAborted(signal, () =>
      app.catchUp.readChecklist(userId, checklistId, signal)
    )
    if (!checklist || signal.aborted) return
    this.#pos = checklist.pos
    if (reason) {
      app.metrics.resets.inc({ reason })
      sender.send({ type: 'reset', checklistId, reason })
    }
    sender.sendFrames(snapshotFrame(checklist))
    this.#projectId = checklist.projectId
    this.#rev = checklist.rev
    this.#epoch = checklist.epoch
    if (!signal.aborted) await this.#goLive()
  }

  /** Lags when the socket is full. If `isRequested`, sends a `changes` message even when there are none. */
  async #catchUp(isRequested = false) {
    if (this.#state === 'closed') return
    if (this.#rev === null) return this.#sendSnapshot()
    const { app, sender } = this.#parts
    if (this.#epoch !== app.pubsub.epoch) return this.#sendSnapshot('restored')
    const signal = this.#subscribe()
    for (let isBehind = true; isBehind; ) {
      const page = await this.#readPage(this.#rev, signal)
      if (page === undefined || signal.aborted) return
      if (!page) return this.#sendSnapshot('compacted')
      app.metrics.catchUps.inc({ from: 'log' })
      const { from, to, head, changes, projectId, pos } = page
      this.#projectId = projectId
      this.#pos = pos
      this.#rev = to
      if (isRequested || changes.length > 0)
        sender.send({ type: 'changes', checklistId: this.#checklistId, from, to, head, changes })
      isRequested = false
      if (signal.aborted) return
      if (sender.isFull) return this.lag()
      isBehind = to < head
    }
    await this.#goLive()
  }

  /** Returns a page of changes. Returns null when they are compacted, and undefined when `signal` aborts. */
  async #readPage(since: number, signal: AbortSignal) {
    const { app, userId } = this.#parts
    const page = { since, ...limits.page }
    try {
      return await unlessAborted(signal, () =>
        app.catchUp.run(userId, () => readChanges(app.sql, userId, this.#checklistId, page), signal)
      )
    } catch (error) {
      if ((error as { code?: string }).code === 'COMPACTED') return null
      throw error
    }
  }

  // There is no await after the check of the backlog, so that no event is delivered in between.
  async #goLive() {
    if (this.#hasOverflowed) return this.#catchUp()
    this.#state = 'live'
    this.#leavingState = undefined
    const missed = this.#backlog
    this.#clearBacklog()
    for (const event of missed) {
      if (event.checklistId) this.#sendNew([event])
      else this.onMembership(event)
    }
  }

  #enter(next: SubscriberState) {
    this.#leavingState?.abort(stateChanged)
    this.#leavingState = undefined
    this.#state = next
    this.#clearBacklog()
    this.#unsubscribe()
  }

  /** Begins to collect new events. Returns a signal that aborts when the state changes again. */
  #subscribe(): AbortSignal {
    this.#enter('catching_up')
    this.#leavingState = new AbortController()
    const topic = `checklist:${this.#checklistId}`
    this.#unsubscribe = this.#parts.app.pubsub.subscribe(topic, this)
    return this.#leavingState.signal
  }

  #sendNew(events: readonly LogEvent[]) {
    if (this.#state !== 'live') return
    const rev = Number(this.#rev)
    const isNew = (event?: LogEvent) => Number(event?.rev) > rev
    // The same array for all subscriptions, whose bytes are made once.
    const next = isNew(events[0]) ? events : events.filter(isNew)
    const last = next.at(-1)
    if (!last) return
    this.#rev = last.rev
    this.#parts.sender.sendFrames(changesFrames(next))
    if (last.kind !== 'checklist.deleted') return
    this.#revoke('deleted')
    // A checklist that is marked as deleted can be restored, unless its row was deleted (`after` is null).
    if (last.after === null) this.close()
  }

  #revoke(reason: 'removed' | 'role_changed' | 'deleted', role?: Role) {
    const { app, sender } = this.#parts
    app.metrics.revocations.inc({ reason })
    sender.send({ type: 'revoked', checklistId: this.#checklistId, reason, role })
  }

  #addToBacklog(event: LogEvent) {
    if (this.#hasOverflowed) return
    this.#backlog.push(event)
    this.#backlogBytes += event.bytes
  }

  /** Whether the backlog is over its limits. It may miss events then, so they must be read from the log. */
  get #hasOverflowed() {
    const { events, bytes } = limits.backlog
    return this.#backlog.length > events || this.#backlogBytes > bytes
  }

  #clearBacklog() {
    this.#backlog = []
    this.#backlogBytes = 0
  }

  #fail(error: unknown) {
    if (this.#state === 'closed') return
    const { code, message } = error as { code?: string; message: string }
    if (code !== 'CHECKLIST_NOT_FOUND' && code !== 'CHECKLIST_DELETED')
      return this.#parts.onFailure(error)
    this.close()
    this.#parts.sender.send({ type: 'error', code, message, checklistId: this.#checklistId })
  }
}

/** Runs a query. Returns undefined when `signal` aborts, even if the query fails. */
async function unlessAborted<T>(signal: AbortSignal, query: () => Promise<T>) {
  try {
    return await query()
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

/** Returns the frame of a `snapshot` message. Sockets that wait for the same checklist together send the same bytes. */
const snapshotFrame = memoize(({ pos, ...checklist }: ChecklistAt): Buffer => {
  return textFrame(Buffer.from(JSON.stringify({ type: 'snapshot', checklist })))
})
