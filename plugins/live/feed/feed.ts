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
import {
  type LogState,
  type Memberships,
  readMemberships,
  readVisibleAfter
} from '../../../sql/log.ts'
import type { Identity } from '../../auth/authenticate.ts'
import type { Subscriber } from '../../pubsub/pubsub.ts'
import type { SubscriberState } from '../subscriber-state.ts'
import type { EventStream } from './event-stream.ts'

export type Feed = ReturnType<typeof createFeed>

export interface FeedOptions {
  /** The cursor as the client sent it. */
  cursor?: string
  /** Ids of projects: only their events are sent. Without this option, the events of all projects are sent. */
  projects?: string[]
}

export interface FeedParts {
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

// Without a reason, `abort` creates an error with a stack, which took a sixth of the time in which a stream opens.
const stateChanged = 'the state of the stream has changed'

/** Sends one user the events of their projects: the past events after the cursor, then each event when committed. */
export function createFeed(
  {
    pubsub,
    sql,
    catchUpLimit,
    endedSessions,
    metrics,
    log
  }: Pick<FastifyInstance, 'pubsub' | 'sql' | 'catchUpLimit' | 'endedSessions' | 'metrics' | 'log'>,
  stream: EventStream,
  { identity, options, blocksOf, onClosed }: FeedParts
) {
  const { userId, sessionId, expiresAt } = identity
  const only = options.projects && new Set(options.projects.map(id => id.toLowerCase()))
  /** The functions that unsubscribe this stream, by topic. */
  const subscriptions = new Map<string, () => void>()
  let state: SubscriberState = 'catching_up'
  /** Aborts when the state changes. Undefined while nothing waits for that. */
  let leavingState: AbortController | undefined
  /** The cursor of the last event that was sent, or skipped because the user may not see it or does not want it. */
  let epoch = ''
  let pos = 0
  const openedAt = new Date()
  let cleanUps: (() => void)[] = []
  const subscriber: Subscriber = { receive, reset: catchUp }

  return {
    start,
    end,
    describe,
    get state() {
      return state
    },
    get bufferedBytes() {
      return stream.bufferedBytes
    }
  }

  function start() {
    // The client may have disconnected while the database was queried for the session.
    if (stream.isClosed) return close()
    stream.onClose(close)
    cleanUps = [
      pubsub.subscribe(`session:${sessionId}`, {
        receive: ([event]) => event && endSession(endedSessionOf(event).reason),
        reset() {}
      })
    ]
    // The session may have ended between the check of the token and this subscription.
    if (endedSessions.has(sessionId)) return endSession('revoked')
    const heartbeat = setInterval(sendHeartbeat, limits.heartbeatMs)
    cleanUps.push(() => clearInterval(heartbeat))
    if (expiresAt !== null) {
      const expiry = setTimeout(end, expiresAt - Date.now())
      cleanUps.push(() => clearTimeout(expiry))
    }
    catchUp()
  }

  /** Returns the state of this stream for operators. */
  function describe(): OpenStream & { userId: string } {
    // A live stream has received every event that this node has delivered.
    const position = state === 'live' ? Math.max(pos, pubsub.deliveredHead) : pos
    const { bufferedBytes } = stream
    return {
      userId,
      sessionId,
      openedAt,
      state,
      bufferedBytes,
      position: epoch === '' ? null : position,
      projects: only ? [...only] : null
    }
  }

  /** Changes the state and unsubscribes from all topics. */
  function enter(next: SubscriberState) {
    leavingState?.abort(stateChanged)
    leavingState = undefined
    state = next
    for (const topic of subscriptions.keys()) unsubscribe(topic)
  }

  /** Returns a signal that aborts when the state changes again. */
  function untilNextState(): AbortSignal {
    leavingState = new AbortController()
    return leavingState.signal
  }

  function catchUp() {
    enter('catching_up')
    const signal = untilNextState()
    sendPastAndGoLive(signal).catch(error => fail(error, signal))
  }

  async function sendPastAndGoLive(signal: AbortSignal) {
    for (;;) {
      const memberships = await catchUpLimit(userId, () => readMemberships(sql, userId), signal)
      if (signal.aborted) return
      if (memberships.epoch !== pubsub.epoch) throw new Error('the log is being replaced')
      // Wait until this node has delivered the newest events of the database, so that they are in memory.
      await pubsub.delivered(memberships.committedHead)
      if (signal.aborted) return
      if (epoch === '') sendReady(memberships)
      else resetUnless(invalidityOf({ epoch, pos }, memberships), memberships)
      await sendPast(memberships, signal)
      if (signal.aborted) return
      const rest = readMemory()
      if (rest?.isLast) return goLive(memberships, rest.events)
    }
  }

  // Begins at the head when the client sent no cursor or an invalid one.
  function sendReady(memberships: Memberships) {
    const head = { epoch: memberships.epoch, pos: memberships.committedHead }
    const cursor = options.cursor === undefined ? head : parseCursor(options.cursor)
    const reason = cursor ? invalidityOf(cursor, memberships) : 'unknown'
    ;({ epoch, pos } = cursor ?? head)
    // No id before a `reset`: a client that is disconnected between the two receives the `reset` when it reconnects.
    const id = reason === null ? formatCursor({ epoch, pos }) : null
    stream.write(sseBlock('ready', id, JSON.stringify({ userId, epoch: memberships.epoch })))
    resetUnless(reason, memberships)
  }

  function resetUnless(reason: string | null, memberships: Memberships) {
    if (reason === null) return
    metrics.resets.inc({ reason })
    ;({ epoch, committedHead: pos } = memberships)
    stream.write(sseBlock('reset', formatCursor({ epoch, pos }), JSON.stringify({ reason })))
  }

  async function sendPast(memberships: Memberships, signal: AbortSignal) {
    const { committedHead: head, projects } = memberships
    const since = new Map(projects.map(({ projectId, sincePos }) => [projectId, sincePos]))
    while (pos < head && !signal.aborted) {
      const memory = pubsub.deliveredHead >= head ? readMemory() : null
      const page = memory ?? (await catchUpLimit(userId, () => readPage(memberships), signal))
      metrics.catchUps.inc({ from: memory ? 'memory' : 'log' })
      // The log query returns only events that this user may see. Memory contains the events of all projects.
      const visible = page.events.filter(
        event => event.pos <= head && (!memory || isVisible(event, userId, id => since.get(id)))
      )
      for (const batch of batches(visible, limits.batch)) {
        if (signal.aborted) return
        send(batch)
        pos = batch.at(-1)?.pos ?? pos
        if (stream.isFull) await stream.drained(signal)
      }
      pos = page.isLast ? head : Math.min(head, page.events.at(-1)?.pos ?? pos)
    }
  }

  function readMemory() {
    const { rows } = limits.page
    const events = pubsub.recent({ epoch, pos }, rows)
    return events && { events, isLast: events.length < rows }
  }

  async function readPage(memberships: Memberships) {
    const page = await readVisibleAfter(sql, { userId, memberships, pos, limits: limits.page })
    if (invalidityOf({ epoch, pos }, page)) throw new Error('the log was replaced')
    return page
  }

  // There is no await after `readMemory()` in the caller, so that no event is delivered in between.
  function goLive({ projects }: Memberships, missed: LogEvent[]) {
    enter('live')
    subscribe(`user:${userId}`)
    for (const { projectId } of projects) subscribe(`project:${projectId}`)
    for (const batch of batches(missed, limits.batch, changesSubscriptions)) {
      // Events in memory may belong to other projects.
      receive(batch.filter(event => topicsOf(event).some(topic => subscriptions.has(topic))))
    }
  }

  // Events that change subscriptions are the last of their batch.
  function receive(events: readonly LogEvent[]) {
    const last = events.at(-1)
    if (state !== 'live' || !last || last.pos <= pos) return
    send(Number(events[0]?.pos) > pos ? events : events.filter(event => event.pos > pos))
    ;({ pos } = last)
    if (last.userId === userId) {
      if (last.kind === 'member.added') subscribe(`project:${last.projectId}`)
      if (last.kind === 'member.removed') unsubscribe(`project:${last.projectId}`)
    }
    if (stream.isFull) lag()
  }

  function send(events: readonly LogEvent[]) {
    const wanted = only ? events.filter(({ projectId }) => only.has(`${projectId}`)) : events
    if (wanted.length > 0) stream.write(blocksOf(wanted))
  }

  function lag() {
    enter('lagging')
    const signal = untilNextState()
    stream.drained(signal).then(catchUp, error => fail(error, signal))
  }

  function sendHeartbeat() {
    if (endedSessions.has(sessionId)) return endSession('revoked')
    if (epoch === '' || stream.isFull) return
    if (state === 'live') pos = Math.max(pos, pubsub.deliveredHead)
    stream.write(sseBlock('heartbeat', formatCursor({ epoch, pos }), '{}'))
  }

  function endSession(reason: string) {
    if (state === 'closed') return
    metrics.sessionsEnded.inc()
    stream.end(sseBlock('session.ended', null, JSON.stringify({ reason })))
    close()
  }

  function end() {
    if (state === 'closed') return
    stream.end()
    close()
  }

  // Closes the stream. The client reconnects with its cursor, and the log still contains the events that it missed.
  function fail(err: unknown, signal: AbortSignal) {
    if (signal.aborted) return
    if ((err as Error).name === 'AbortError') {
      metrics.slowClients.inc({ kind: 'stream' })
      stream.reset()
      return close()
    }
    log.warn({ err }, 'stream closed: catch-up failed')
    end()
  }

  function close() {
    if (state === 'closed') return
    enter('closed')
    for (const cleanUp of cleanUps) cleanUp()
    onClosed()
  }

  function subscribe(topic: string) {
    if (!subscriptions.has(topic)) subscriptions.set(topic, pubsub.subscribe(topic, subscriber))
  }

  function unsubscribe(topic: string) {
    subscriptions.get(topic)?.()
    subscriptions.delete(topic)
  }

  /** Returns the reason of the `reset` that an invalid cursor needs, or null for a valid cursor. */
  function invalidityOf(cursor: Cursor, now: LogState) {
    if (cursor.epoch !== now.epoch) return 'restored'
    if (cursor.pos > now.committedHead) return 'unknown'
    return cursor.pos < now.floor ? 'expired' : null
  }
}
