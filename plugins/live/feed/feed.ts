import type { FastifyInstance } from 'fastify'
import { batches } from '../../../lib/batches.ts'
import { type Cursor, formatCursor, parseCursor } from '../../../lib/cursor.ts'
import {
  changesSubscriptions,
  endedSessionOf,
  isVisible,
  type LogEvent,
  sseBlock,
  topicsOf
} from '../../../lib/event.ts'
import type { OpenStream } from '../../../schemas/connections.ts'
import { type LogState, type Memberships, readVisibleAfter } from '../../../sql/log.ts'
import type { Identity } from '../../auth/authenticate.ts'
import type { Subscriber } from '../../pubsub/pubsub.ts'
import { type SubscriberState, stateChanged } from '../subscriber-state.ts'
import type { EventStream } from './event-stream.ts'

export interface FeedOptions {
  /** The cursor as the client sent it. */
  cursor?: string
  /** Ids of projects: only their events are sent. Without this option, the events of all projects are sent. */
  projects?: string[]
}

export interface FeedParts {
  app: Pick<FastifyInstance, 'pubsub' | 'sql' | 'catchUp' | 'endedSessions' | 'metrics' | 'log'>
  stream: EventStream
  identity: Identity
  options: FeedOptions
  /** Returns the SSE blocks of events. All streams send the same bytes. */
  blocksOf: (events: readonly LogEvent[]) => Buffer
  onClosed: () => void
}

const limits = {
  heartbeatMs: 15_000,
  page: { rows: 500, bytes: 256 << 10 },
  // Past events that are written together.
  batch: { events: 500, bytes: 64 << 10 }
}

/**
 * Sends one user the events of their projects: the past events after the cursor, then each event when committed. A class
 * for the same reason as EventStream.
 */
export class Feed implements Subscriber {
  readonly #parts: FeedParts
  readonly #only: ReadonlySet<string> | undefined
  readonly #openedAt = new Date()
  /** The functions that unsubscribe this stream, by topic. */
  readonly #subscriptions = new Map<string, () => void>()
  #state: SubscriberState = 'catching_up'
  /** Aborts when the state changes. Undefined while nothing waits for that. */
  #leavingState: AbortController | undefined
  /** The cursor of the last event that was sent, or skipped because the user may not see it or does not want it. */
  #epoch = ''
  #pos = 0
  #unsubscribeFromSession = () => {}
  #heartbeat: NodeJS.Timeout | undefined
  #expiry: NodeJS.Timeout | undefined

  constructor(parts: FeedParts) {
    this.#parts = parts
    const { projects } = parts.options
    this.#only = projects && new Set(projects.map(id => id.toLowerCase()))
  }

  get state() {
    return this.#state
  }

  get bufferedBytes() {
    return this.#parts.stream.bufferedBytes
  }

  start() {
    const { app, stream, identity } = this.#parts
    const { sessionId, expiresAt } = identity
    // The client may have disconnected while the database was queried for the session.
    if (stream.isClosed) return this.#close()
    stream.onClose(() => this.#close())
    this.#unsubscribeFromSession = app.pubsub.subscribe(`session:${sessionId}`, this)
    // The session may have ended between the check of the token and this subscription.
    if (app.endedSessions.has(sessionId)) return this.#endSession('revoked')
    this.#heartbeat = setInterval(() => this.#sendHeartbeat(), limits.heartbeatMs)
    if (expiresAt !== null) this.#expiry = setTimeout(() => this.end(), expiresAt - Date.now())
    this.#catchUp()
  }

  /** Returns the state of this stream for operators. */
  describe(): OpenStream & { userId: string } {
    const { app, stream, identity } = this.#parts
    const { userId, sessionId } = identity
    // A live stream has received every event that this node has delivered.
    const position =
      this.#state === 'live' ? Math.max(this.#pos, app.pubsub.deliveredHead) : this.#pos
    return {
      userId,
      sessionId,
      openedAt: this.#openedAt,
      state: this.#state,
      bufferedBytes: stream.bufferedBytes,
      position: this.#epoch === '' ? null : position,
      projects: this.#only ? [...this.#only] : null
    }
  }

  // Events that change subscriptions are the last of their batch.
  receive(events: readonly LogEvent[]) {
    const last = events.at(-1)
    if (last?.kind === 'session.ended') return this.#endSession(endedSessionOf(last).reason)
    if (this.#state !== 'live' || !last || last.pos <= this.#pos) return
    const isNew = Number(events[0]?.pos) > this.#pos
    this.#send(isNew ? events : events.filter(event => event.pos > this.#pos))
    this.#pos = last.pos
    if (last.userId === this.#parts.identity.userId) {
      if (last.kind === 'member.added') this.#subscribe(`project:${last.projectId}`)
      if (last.kind === 'member.removed') this.#unsubscribe(`project:${last.projectId}`)
    }
    if (this.#parts.stream.isFull) this.#lag()
  }

  // A stream that is not live compares its epoch when it has read the log.
  reset() {
    if (this.#state === 'live') this.#catchUp()
  }

  end() {
    if (this.#state === 'closed') return
    this.#parts.stream.end()
    this.#close()
  }

  /** Changes the state and unsubscribes from all topics of events. */
  #enter(next: SubscriberState) {
    this.#leavingState?.abort(stateChanged)
    this.#leavingState = undefined
    this.#state = next
    for (const topic of this.#subscriptions.keys()) this.#unsubscribe(topic)
  }

  /** Returns a signal that aborts when the state changes again. */
  #untilNextState(): AbortSignal {
    this.#leavingState = new AbortController()
    return this.#leavingState.signal
  }

  #catchUp() {
    this.#enter('catching_up')
    const signal = this.#untilNextState()
    this.#sendPastAndGoLive(signal).catch(error => this.#fail(error, signal))
  }

  async #sendPastAndGoLive(signal: AbortSignal) {
    const { pubsub, catchUp } = this.#parts.app
    for (;;) {
      const memberships = await catchUp.readMemberships(this.#parts.identity.userId, signal)
      if (signal.aborted) return
      if (memberships.epoch !== pubsub.epoch) throw new Error('the log is being replaced')
      // Wait until this node has delivered the newest events of the database, so that they are in memory.
      await pubsub.delivered(memberships.committedHead)
      if (signal.aborted) return
      if (this.#epoch === '') this.#sendReady(memberships)
      else this.#resetUnless(invalidityOf(this.#cursor, memberships), memberships)
      await this.#sendPast(memberships, signal)
      if (signal.aborted) return
      const rest = this.#readMemory()
      if (rest?.isLast) return this.#goLive(memberships, rest.events)
    }
  }

  get #cursor(): Cursor {
    return { epoch: this.#epoch, pos: this.#pos }
  }

  set #cursor({ epoch, pos }: Cursor) {
    this.#epoch = epoch
    this.#pos = pos
  }

  // Begins at the head when the client sent no cursor or an invalid one.
  #sendReady(memberships: Memberships) {
    const { options, identity, stream } = this.#parts
    const { epoch, committedHead } = memberships
    const head = { epoch, pos: committedHead }
    const cursor = options.cursor === undefined ? head : parseCursor(options.cursor)
    const reason = cursor ? invalidityOf(cursor, memberships) : 'unknown'
    this.#cursor = cursor ?? head
    // No id before a `reset`: a client that is disconnected between the two receives the `reset` when it reconnects.
    const id = reason === null ? formatCursor(this.#cursor) : null
    stream.write(sseBlock('ready', id, JSON.stringify({ userId: identity.userId, epoch })))
    this.#resetUnless(reason, memberships)
  }

  #resetUnless(reason: string | null, { epoch, committedHead: pos }: Memberships) {
    if (reason === null) return
    this.#parts.app.metrics.resets.inc({ reason })
    this.#cursor = { epoch, pos }
    this.#parts.stream.write(
      sseBlock('reset', formatCursor({ epoch, pos }), JSON.stringify({ reason }))
    )
  }

  async #sendPast(memberships: Memberships, signal: AbortSignal) {
    const { app, stream, identity } = this.#parts
    const { pubsub, catchUp, metrics } = app
    const { userId } = identity
    const { committedHead: head, projects } = memberships
    const since = new Map(projects.map(({ projectId, sincePos }) => [projectId, sincePos]))
    while (this.#pos < head && !signal.aborted) {
      await pubsub.loadRecent(this.#cursor)
      const memory = pubsub.deliveredHead >= head ? this.#readMemory() : null
      const page = memory ?? (await catchUp.run(userId, () => this.#readPage(memberships), signal))
      if (signal.aborted) return
      metrics.catchUps.inc({ from: memory ? 'memory' : 'log' })
      // The log query returns only events that this user may see. Memory contains the events of all projects.
      const visible = page.events.filter(
        event => event.pos <= head && (!memory || isVisible(event, userId, id => since.get(id)))
      )
      for (const batch of batches(visible, limits.batch)) {
        if (signal.aborted) return
        this.#send(batch)
        this.#pos = batch.at(-1)?.pos ?? this.#pos
        if (stream.isFull) await stream.drained(signal)
      }
      this.#pos = page.isLast ? head : Math.min(head, page.events.at(-1)?.pos ?? this.#pos)
    }
  }

  #readMemory() {
    const { rows } = limits.page
    const events = this.#parts.app.pubsub.recent(this.#cursor, rows)
    return events && { events, isLast: events.length < rows }
  }

  async #readPage(memberships: Memberships) {
    const { app, identity } = this.#parts
    const page = await readVisibleAfter(app.sql, {
      userId: identity.userId,
      memberships,
      pos: this.#pos,
      limits: limits.page
    })
    if (invalidityOf(this.#cursor, page)) throw new Error('the log was replaced')
    return page
  }

  // There is no await after `#readMemory()` in the caller, so that no event is delivered in between.
  #goLive({ projects }: Memberships, missed: LogEvent[]) {
    this.#leavingState = undefined // nothing waits any more, and `abort` takes long
    this.#enter('live')
    this.#subscribe(`user:${this.#parts.identity.userId}`)
    for (const { projectId } of projects) this.#subscribe(`project:${projectId}`)
    for (const batch of batches(missed, limits.batch, changesSubscriptions)) {
      // Events in memory may belong to other projects.
      this.receive(
        batch.filter(event => topicsOf(event).some(topic => this.#subscriptions.has(topic)))
      )
    }
  }

  #send(events: readonly LogEvent[]) {
    const { stream, blocksOf } = this.#parts
    const only = this.#only
    const wanted = only ? events.filter(({ projectId }) => only.has(`${projectId}`)) : events
    if (wanted.length > 0) stream.write(blocksOf(wanted))
  }

  #lag() {
    this.#enter('lagging')
    const signal = this.#untilNextState()
    this.#parts.stream.drained(signal).then(
      () => this.#catchUp(),
      error => this.#fail(error, signal)
    )
  }

  #sendHeartbeat() {
    const { app, stream, identity } = this.#parts
    if (app.endedSessions.has(identity.sessionId)) return this.#endSession('revoked')
    if (this.#epoch === '' || stream.isFull) return
    if (this.#state === 'live') this.#pos = Math.max(this.#pos, app.pubsub.deliveredHead)
    stream.write(sseBlock('heartbeat', formatCursor(this.#cursor), '{}'))
  }

  #endSession(reason: string) {
    if (this.#state === 'closed') return
    this.#parts.app.metrics.sessionsEnded.inc()
    this.#parts.stream.end(sseBlock('session.ended', null, JSON.stringify({ reason })))
    this.#close()
  }

  // Closes the stream. The client reconnects with its cursor, and the log still contains the events that it missed.
  #fail(err: unknown, signal: AbortSignal) {
    if (signal.aborted) return
    const { app, stream } = this.#parts
    if ((err as Error).name === 'AbortError') {
      app.metrics.slowClients.inc({ kind: 'stream' })
      stream.reset()
      return this.#close()
    }
    app.log.warn({ err }, 'stream closed: catch-up failed')
    this.end()
  }

  #close() {
    if (this.#state === 'closed') return
    this.#enter('closed')
    this.#unsubscribeFromSession()
    clearInterval(this.#heartbeat)
    clearTimeout(this.#expiry)
    this.#parts.onClosed()
  }

  #subscribe(topic: string) {
    if (!this.#subscriptions.has(topic))
      this.#subscriptions.set(topic, this.#parts.app.pubsub.subscribe(topic, this))
  }

  #unsubscribe(topic: string) {
    this.#subscriptions.get(topic)?.()
    this.#subscriptions.delete(topic)
  }
}

/** Returns the reason of the `reset` that an invalid cursor needs, or null for a valid cursor. */
function invalidityOf(cursor: Cursor, now: LogState) {
  if (cursor.epoch !== now.epoch) return 'restored'
  if (cursor.pos > now.committedHead) return 'unknown'
  return cursor.pos < now.floor ? 'expired' : null
}
