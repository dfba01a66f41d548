import type { FastifyInstance } from 'fastify'
import { type Cursor, formatCursor, parseCursor } from '../../../lib/cursor.ts'
import { isEntitled } from '../../../lib/entitlement.ts'
import { sseBytes } from '../../../lib/event.ts'
import {
  type LogEvent,
  type LogState,
  type Memberships,
  readMemberships,
  readVisibleAfter
} from '../../../sql/log.ts'
import type { Identity } from '../../auth/authenticate.ts'
import type { Subscriber } from '../../pubsub/pubsub.ts'
import type { EventStream } from './event-stream.ts'

export type Feed = ReturnType<typeof createFeed>

export interface FeedOptions {
  /** The cursor that the client brought, as it came. */
  cursor?: string
  /** Only these projects; all when absent. */
  projects?: string[]
}

export interface FeedParts {
  identity: Identity
  options: FeedOptions
  /** The bytes of an event that is in memory: one array, however many readers. */
  bytesOf: (event: LogEvent) => Buffer
  onGone: () => void
}

const limits = { heartbeatMs: 15_000, page: { rows: 500, bytes: 256 << 10 } }

/**
 * One stream: `catching up` (reads the past, from memory or the log), `live` (hears its topics),
 * `lagging` (hears nothing until its reader has drained, then catches up) or `gone`.
 */
export function createFeed(
  { pubsub, sql, catchUpLimit, endedSessions, metrics, log }: FastifyInstance,
  stream: EventStream,
  { identity, options, bytesOf, onGone }: FeedParts
) {
  const { userId, sessionId, expiresAt } = identity
  const only = options.projects && new Set(options.projects.map(id => id.toLowerCase()))
  const topics = new Map<string, () => void>()
  let state: 'catching_up' | 'live' | 'lagging' | 'closed' = 'catching_up'
  let leaving = new AbortController()
  /** The epoch and last position that were sent, or passed over because they were not for this reader. */
  let epoch = ''
  let pos = 0
  let stops: (() => void)[] = []
  const subscriber: Subscriber = { receive, reset: catchUp }

  return {
    start,
    end,
    get state() {
      return state
    },
    get bufferedBytes() {
      return stream.bufferedBytes
    }
  }

  function start() {
    // The client may have left while its identity was looked up.
    if (stream.closed.aborted) return leave()
    stream.closed.addEventListener('abort', leave)
    stops = [
      pubsub.subscribe(`session:${sessionId}`, {
        receive: ({ after }) => endSession(JSON.parse(after ?? '{}').reason),
        reset() {}
      })
    ]
    // Ended between the check of the token and the line above: nobody will tell again.
    if (endedSessions.has(sessionId)) return endSession('revoked')
    const heartbeat = setInterval(beat, limits.heartbeatMs)
    stops.push(() => clearInterval(heartbeat))
    if (expiresAt !== null) {
      const expiry = setTimeout(end, expiresAt - Date.now())
      stops.push(() => clearTimeout(expiry))
    }
    catchUp()
  }

  /** Moves on. What still runs for the place before ends at its next step. */
  function enter(next: typeof state): AbortSignal {
    leaving.abort()
    leaving = new AbortController()
    state = next
    for (const topic of topics.keys()) part(topic)
    return leaving.signal
  }

  function catchUp() {
    const signal = enter('catching_up')
    readUp(signal).catch(error => fail(error, signal))
  }

  async function readUp(signal: AbortSignal) {
    for (;;) {
      const mine = await catchUpLimit(userId, () => readMemberships(sql, userId), signal)
      if (signal.aborted) return
      if (mine.epoch !== pubsub.epoch) throw new Error('the log is being replaced')
      // The database may be ahead of what this node has heard: memory would be short of its newest.
      await pubsub.reached(mine.committedHead)
      if (signal.aborted) return
      if (epoch === '') greet(mine)
      else resetUnless(reasonAgainst({ epoch, pos }, mine), mine)
      await sendPast(mine, signal)
      if (signal.aborted) return
      const rest = recall()
      if (rest?.isLast) return goLive(mine, rest.events)
    }
  }

  /** Says who is heard and from where on: from where the client was, or from the head if that cannot be told. */
  function greet(mine: Memberships) {
    const here = { epoch: mine.epoch, pos: mine.committedHead }
    const from = options.cursor === undefined ? here : parseCursor(options.cursor)
    const reason = from ? reasonAgainst(from, mine) : 'unknown'
    ;({ epoch, pos } = from ?? here)
    // Without an id before a reset: a client cut off in between must not take the head for its own.
    const at = reason === null ? formatCursor({ epoch, pos }) : null
    stream.write(sseBytes('ready', at, JSON.stringify({ userId, epoch: mine.epoch })))
    resetUnless(reason, mine)
  }

  function resetUnless(reason: string | null, mine: Memberships) {
    if (reason === null) return
    metrics.resets.inc({ reason })
    ;({ epoch, committedHead: pos } = mine)
    stream.write(sseBytes('reset', formatCursor({ epoch, pos }), JSON.stringify({ reason })))
  }

  async function sendPast(mine: Memberships, signal: AbortSignal) {
    const since = new Map(mine.projects.map(({ projectId, sincePos }) => [projectId, sincePos]))
    const isMine = (event: LogEvent) => isEntitled(event, userId, id => since.get(id))
    while (pos < mine.committedHead && !signal.aborted) {
      const recent = pubsub.head >= mine.committedHead ? recall() : null
      const { events, isLast } =
        recent ?? (await catchUpLimit(userId, () => readPage(mine), signal))
      metrics.catchUps.inc({ from: recent ? 'memory' : 'log' })
      for (const event of events) {
        if (signal.aborted || event.pos > mine.committedHead) break
        if (!recent || isMine(event)) send(event)
        pos = event.pos
        if (stream.isFull) await stream.drained(signal)
      }
      if (isLast) pos = Math.max(pos, mine.committedHead)
    }
  }

  function recall() {
    const { rows } = limits.page
    const events = pubsub.recent({ epoch, pos }, rows)
    return events && { events, isLast: events.length < rows }
  }

  async function readPage(mine: Memberships) {
    const page = await readVisibleAfter(sql, {
      userId,
      memberships: mine,
      pos,
      limits: limits.page
    })
    if (reasonAgainst({ epoch, pos }, page)) throw new Error('the log is not what it was')
    return page
  }

  // Without an await from the look into memory to the last line: no event can come in between.
  function goLive({ projects }: Memberships, missed: LogEvent[]) {
    enter('live')
    join(`user:${userId}`)
    for (const { projectId } of projects) join(`project:${projectId}`)
    for (const event of missed) receive(event)
  }

  function receive(event: LogEvent) {
    if (state !== 'live' || event.pos <= pos) return
    const { kind, projectId } = event
    const isMine = event.userId === userId
    const topic = `project:${projectId}`
    if (isMine && kind === 'member.added') join(topic)
    // What memory has is not all for this reader, what topics bring is.
    if (topics.has(topic) || (isMine && projectId !== null)) send(event)
    pos = event.pos
    if (isMine && kind === 'member.removed') part(topic)
    if (stream.isFull) lag()
  }

  function send(event: LogEvent) {
    if (only && !only.has(event.projectId ?? '')) return
    stream.write(bytesOf(event))
  }

  function lag() {
    const signal = enter('lagging')
    stream.drained(signal).then(catchUp, error => fail(error, signal))
  }

  function beat() {
    if (endedSessions.has(sessionId)) return endSession('revoked')
    if (epoch === '' || stream.isFull) return
    if (state === 'live') pos = Math.max(pos, pubsub.head)
    stream.write(sseBytes('heartbeat', formatCursor({ epoch, pos }), '{}'))
  }

  function endSession(reason: string) {
    if (state === 'closed') return
    metrics.sessionsEnded.inc()
    stream.end(sseBytes('session.ended', null, JSON.stringify({ reason })))
    leave()
  }

  function end() {
    if (state === 'closed') return
    stream.end()
    leave()
  }

  // The client comes back with its cursor, and the log has kept everything.
  function fail(err: unknown, signal: AbortSignal) {
    if (signal.aborted) return
    if ((err as Error).name === 'AbortError') {
      metrics.slowClients.inc({ kind: 'stream' })
      stream.drop()
      return leave()
    }
    log.warn({ err }, 'a stream ends before its time')
    end()
  }

  function leave() {
    if (state === 'closed') return
    enter('closed')
    for (const stop of stops) stop()
    onGone()
  }

  function join(topic: string) {
    if (!topics.has(topic)) topics.set(topic, pubsub.subscribe(topic, subscriber))
  }

  function part(topic: string) {
    topics.get(topic)?.()
    topics.delete(topic)
  }

  /** Why a place in the log means nothing any more, or null. */
  function reasonAgainst(from: Cursor, now: LogState) {
    if (from.epoch !== now.epoch) return 'restored'
    if (from.pos > now.committedHead) return 'unknown'
    return from.pos < now.floor ? 'expired' : null
  }
}
