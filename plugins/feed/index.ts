import type { FastifyInstance, FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import { formatCursor, parseCursor } from '../../lib/cursor.ts'
import { isEntitled } from '../../lib/entitlement.ts'
import { feedJson, once, sseBytes } from '../../lib/wire.ts'
import { type Feed, type LogEvent, readFeed, readFeedAfter } from '../../sql/log.ts'
import type { Identity } from '../auth.ts'
import type { Subscriber } from '../pubsub/index.ts'
import { type EventStream, openEventStream } from './event-stream.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Turns a reply into the live feed of a user; resolves when the head of the answer is written. */
    openFeed(reply: FastifyReply, identity: Identity, options: FeedOptions): void
  }
}

export interface FeedOptions {
  /** The cursor that the client brought, as it came. */
  cursor?: string
  /** Only these projects; all when absent. */
  projects?: string[]
}

interface FeedParts {
  identity: Identity
  options: FeedOptions
  bytesOf: (event: LogEvent) => Buffer
  onGone: () => void
}

const limits = {
  heartbeatMs: 15_000,
  // A reader that takes longer than this to drain comes back with its cursor instead.
  behindMs: 30_000,
  // Events that arrive while one reader catches up; more, and it reads again from where it is.
  backlog: 10_000,
  page: 500
}

export default fp(
  async app => {
    const open = new Set<ReturnType<typeof createFeed>>()
    // One event, one array of bytes, however many readers.
    const bytesOf = once((event: LogEvent) =>
      sseBytes(
        event.kind,
        formatCursor({ epoch: app.pubsub.epoch, pos: event.pos }),
        feedJson(event)
      )
    )

    app.decorate('openFeed', (reply, identity, options) => {
      const onGone = () => open.delete(feed)
      const feed = createFeed(app, openEventStream(reply), { identity, options, bytesOf, onGone })
      open.add(feed)
      feed.start()
    })

    // app.close() waits for every answer, and these have no end of their own.
    app.addHook('preClose', async () => {
      for (const feed of open) feed.end()
    })
  },
  { name: 'feed', dependencies: ['pubsub', 'wheel', 'sessions'] }
)

/**
 * One stream: `catching up` (hears everything into a backlog while it reads the past), `live` (hears its
 * topics), `lagging` (hears nothing until its reader has drained, then catches up again) or `gone`.
 */
function createFeed(
  { pubsub, sql, wheel, sessions, log }: FastifyInstance,
  stream: EventStream,
  { identity, options, bytesOf, onGone }: FeedParts
) {
  const { userId, sessionId, expiresAt } = identity
  const { cursor, projects } = options
  const only = projects && new Set(projects)
  const topics = new Map<string, () => void>()
  let state: 'catching up' | 'live' | 'lagging' | 'gone' = 'catching up'
  let backlog: LogEvent[] = []
  /** The last position that was sent, or passed over because it was not for this reader. */
  let pos = 0
  let stopBeating = () => {}
  let stopExpiry = () => {}
  let stopSession = () => {}
  const subscriber: Subscriber = {
    receive(event) {
      if (state === 'catching up') backlog.push(event)
      else receive(event)
    },
    reset: () => startOver('restored')
  }

  return { start, end }

  function start() {
    stream.closed.addEventListener('abort', leave)
    stopSession = pubsub.subscribe(`session:${sessionId}`, {
      receive: ({ after }) => endSession(JSON.parse(after ?? '{}').reason),
      reset() {}
    })
    // Ended between the check of the token and the line above: nobody will tell again.
    if (sessions.isEnded(sessionId)) return endSession('revoked')
    if (expiresAt !== null) stopExpiry = wheel.after(expiresAt - Date.now(), end)
    beat()
    catchUp(greet).catch(fail)
  }

  /** Says who is heard and from where on: from where the client was, or from the head if that cannot be told. */
  function greet({ head }: Feed) {
    const known = cursor === undefined ? head : knownPosition(cursor, head)
    const reason = typeof known === 'string' ? known : null
    pos = reason === null ? (known as number) : head
    // Without an id before a reset: a client cut off in between must not take the head for its own.
    const at = reason === null ? formatCursor({ epoch: pubsub.epoch, pos }) : null
    stream.write(sseBytes('ready', at, JSON.stringify({ userId, epoch: pubsub.epoch })))
    if (reason) sendReset(reason)
  }

  /** The position behind a cursor, or the reason why it means nothing here. */
  function knownPosition(text: string, head: number): number | string {
    const known = parseCursor(text)
    if (!known || (known.epoch === pubsub.epoch && known.pos > head)) return 'unknown'
    if (known.epoch !== pubsub.epoch) return 'restored'
    return known.pos < pubsub.floor ? 'expired' : known.pos
  }

  async function catchUp(onStart?: (feed: Feed) => void) {
    state = 'catching up'
    const stop = pubsub.subscribeToAll(subscriber)
    try {
      for (let isFirst = true; ; isFirst = false) {
        backlog = []
        const feed = await readFeed(sql, userId)
        if (isFirst) onStart?.(feed)
        await sendPast(feed)
        if (backlog.length > limits.backlog) continue
        goLive(feed)
        return
      }
    } finally {
      stop()
    }
  }

  async function sendPast(feed: Feed) {
    const since = new Map(feed.projects.map(({ projectId, sincePos }) => [projectId, sincePos]))
    const recent = pubsub.recent(pos)
    if (recent) {
      for (const event of recent) {
        if (event.pos > feed.head) break
        if (isEntitled(event, userId, id => since.get(id))) await sendWhenDrained(event)
      }
    } else {
      for (let page: LogEvent[] | undefined; page?.length !== 0; ) {
        page = await readFeedAfter(sql, { userId, feed, pos, limit: limits.page })
        for (const event of page) await sendWhenDrained(event)
        pos = page.at(-1)?.pos ?? pos
      }
    }
    pos = Math.max(pos, feed.head)
  }

  // Without an await from here to the last line: no event can come in between.
  function goLive(feed: Feed) {
    if (state === 'gone') return
    state = 'live'
    join(`user:${userId}`)
    for (const { projectId } of feed.projects) join(`project:${projectId}`)
    for (const event of backlog) receive(event)
    backlog = []
  }

  function receive(event: LogEvent) {
    if (state !== 'live' || event.pos <= pos) return
    const { kind, projectId } = event
    const isMine = event.userId === userId
    const topic = `project:${projectId}`
    if (isMine && kind === 'member.added') join(topic)
    // A backlog holds what is nobody's business here, topics only what is.
    if (topics.has(topic) || (isMine && projectId !== null)) send(event)
    pos = event.pos
    if (isMine && kind === 'member.removed') part(topic)
    if (stream.isFull) lag()
  }

  function send(event: LogEvent) {
    if (only && !only.has(event.projectId ?? '')) return
    stream.write(bytesOf(event))
  }

  async function sendWhenDrained(event: LogEvent) {
    send(event)
    pos = event.pos
    if (stream.isFull) await stream.drained(limits.behindMs)
  }

  function lag() {
    state = 'lagging'
    partAll()
    stream
      .drained(limits.behindMs)
      .then(() => catchUp())
      .catch(fail)
  }

  function startOver(reason: string) {
    if (state === 'gone') return
    partAll()
    pos = pubsub.head
    sendReset(reason)
    catchUp().catch(fail)
  }

  function sendReset(reason: string) {
    const at = formatCursor({ epoch: pubsub.epoch, pos })
    stream.write(sseBytes('reset', at, JSON.stringify({ reason })))
  }

  function beat() {
    stopBeating = wheel.after(limits.heartbeatMs, beat)
    if (state === 'lagging') return
    if (state === 'live') pos = Math.max(pos, pubsub.head)
    const at = formatCursor({ epoch: pubsub.epoch, pos })
    stream.write(sseBytes('heartbeat', at, '{}'))
  }

  function endSession(reason: string) {
    stream.end(sseBytes('session.ended', null, JSON.stringify({ reason })))
    leave()
  }

  function end() {
    stream.end()
    leave()
  }

  // The client comes back with its cursor, and the log has kept everything.
  function fail(err: unknown) {
    if (!stream.closed.aborted) log.warn({ err }, 'a stream ends before its time')
    end()
  }

  function leave() {
    if (state === 'gone') return
    state = 'gone'
    backlog = []
    partAll()
    stopSession()
    stopBeating()
    stopExpiry()
    onGone()
  }

  function join(topic: string) {
    if (!topics.has(topic)) topics.set(topic, pubsub.subscribe(topic, subscriber))
  }

  function part(topic: string) {
    topics.get(topic)?.()
    topics.delete(topic)
  }

  function partAll() {
    for (const topic of topics.keys()) part(topic)
  }
}
