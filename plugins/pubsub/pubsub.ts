import { setImmediate as breathe, setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Cursor } from '../../lib/cursor.ts'
import { createGapDetector } from '../../lib/gap-detector.ts'
import { createRingBuffer } from '../../lib/ring-buffer.ts'
import { createSignal } from '../../lib/signal.ts'
import { createTopics } from '../../lib/topics.ts'
import { type Head, type LogEvent, readHead, renewEpoch } from '../../sql/log.ts'
import { createListener } from './listener.ts'
import { tail } from './tail.ts'

declare module 'fastify' {
  interface FastifyInstance {
    pubsub: PubSub
  }
}

/** Who wants events. Neither function may throw or wait. */
export interface Subscriber {
  receive(event: LogEvent): void
  /** The log is another one from now on (a restore, a fail-over): what was seen so far counts for nothing. */
  reset(): void
}

export type PubSub = Awaited<ReturnType<typeof createPubSub>>

const limits = {
  // The doorbell makes delivery immediate; this finds what a lost ring would have told.
  pollMs: 1500,
  // And this is the pace of delivery while no doorbell is heard.
  deafPollMs: 250,
  retryMs: 250,
  // Longer than this nobody waits to hear what they themselves wrote.
  reachMs: 5000,
  ring: { max: 10_000, maxBytes: 32 << 20 },
  // Checklists whose revisions are watched for holes.
  sequences: 10_000,
  // Events that are published in one go: eight messages in one write cost as much as one.
  together: { events: 20, bytes: 256 << 10 },
  // Subscribers, and bytes owed to them, after which a broadcast yields to other work.
  slice: { subscribers: 500, bytes: 4 << 20 }
}

export default fp(
  async app => {
    const pubsub = await createPubSub(app)
    app.decorate('pubsub', pubsub)
    const { gauge } = app.metrics
    const { health } = pubsub
    gauge('log_head', 'Position of the newest event that was delivered', () => health().head)
    gauge('log_lag', 'Events that were committed and not yet delivered', () => health().lag)
    gauge('listening', '1 while the doorbell is heard', () => Number(health().listening))
    gauge('listener_connects', 'How often the LISTEN connection was made', () => health().connects)
    gauge('topics', 'Topics that somebody subscribes to', () => health().topics)
    gauge('ring_events', 'Events in memory', () => health().ring.events)
    gauge('ring_bytes', 'Their weight', () => health().ring.bytes)
    app.addHook('onClose', () => pubsub.close())
  },
  { name: 'pubsub', dependencies: ['pools', 'metrics'] }
)

/** The log of the database, live: one LISTEN connection and one reader a process, whatever the number of clients. */
async function createPubSub({ database, sql, log, metrics }: FastifyInstance) {
  const bell = createSignal()
  const events = createRingBuffer<LogEvent>(limits.ring)
  const topics = createTopics<Subscriber>()
  const waiting = new Set<{ pos: number; resolve: () => void }>()
  const closing = new AbortController()
  let { epoch, head } = await readHead(sql)
  /** Position of the newest event that was there at the last look. */
  let newest = head
  /** Since when the log cannot be read. */
  let awaySince: number | undefined
  events.reset(head)

  const revs = createGapDetector(limits.sequences)
  const listener = await createListener({ url: database.listenUrl, sql, log, onBell })
  const tailing = run()

  return {
    /** Which life of the database the cursors belong to. */
    get epoch() {
      return epoch
    },

    /** The position of the newest event that every subscriber has received. */
    get head() {
      return head
    },

    /**
     * Resolves with true when every subscriber has received the event at `pos`, with false when that takes
     * longer than 5 s: the log cannot be read.
     */
    async reached(pos: number): Promise<boolean> {
      if (pos <= head) return true
      const { promise, resolve } = Promise.withResolvers<void>()
      const one = { pos, resolve }
      waiting.add(one)
      const timer = setTimeout(resolve, limits.reachMs)
      await promise
      clearTimeout(timer)
      waiting.delete(one)
      return pos <= head
    },

    /**
     * The first `limit` events after a cursor, null when memory does not have them all. Who takes them and
     * subscribes without an await in between misses nothing: an event is here before anybody receives it.
     */
    recent(cursor: Cursor, limit: number): LogEvent[] | null {
      return cursor.epoch === epoch ? events.after(cursor.pos, limit) : null
    },

    /**
     * Hears the events of one topic: `user:`, `project:`, `checklist:` or `session:` and an id, or
     * `sessions`. Answers the way to stop.
     */
    subscribe: topics.subscribe,

    /** What an operator wants to know. Without the doorbell events come by polling. */
    health() {
      return {
        listening: listener.isListening,
        reading: awaySince === undefined,
        lag: Math.max(0, newest - head),
        connects: listener.connects,
        head,
        topics: topics.size,
        ring: events.stats
      }
    },

    async close() {
      closing.abort()
      bell.ring()
      await listener.close()
      await tailing
    }
  }

  function onBell() {
    metrics.notifications.inc()
    bell.ring()
  }

  async function run() {
    while (!closing.signal.aborted) {
      try {
        for await (const page of follow()) {
          metrics.logReads.inc()
          if (awaySince !== undefined) {
            metrics.outageSeconds.inc((performance.now() - awaySince) / 1000)
            log.info('reading the log again')
          }
          awaySince = undefined
          if (page.epoch !== epoch) {
            startOver(page)
            break
          }
          if (page.head < head) {
            // An older state was put back: its positions will be given out again, to other events.
            await renewEpoch(sql, epoch)
            break
          }
          newest = page.head
          for (const some of together(page.events)) {
            await publish(some)
            await breathe()
          }
        }
      } catch (err) {
        if (closing.signal.aborted) return
        if (awaySince === undefined)
          log.error({ err }, 'cannot read the log: trying again until it works')
        awaySince ??= performance.now()
        await delay(limits.retryMs)
      }
    }
  }

  function follow() {
    const pollMs = () => (listener.isListening ? limits.pollMs : limits.deafPollMs)
    return tail({ url: database.listenUrl, pos: head, bell, pollMs, signal: closing.signal })
  }

  /** It is another log than before: everybody starts anew. */
  function startOver(now: Head) {
    log.warn({ from: epoch, to: now.epoch }, 'the database is another one: every cursor is reset')
    epoch = now.epoch
    head = now.head
    newest = now.head
    events.reset(head)
    revs.reset()
    for (const subscriber of topics.all()) subscriber.reset()
  }

  /**
   * Hands some events to everybody concerned, in order, before the next are looked at. Whom an event concerns
   * is asked when it is their turn: one event may subscribe or unsubscribe them for the next.
   */
  async function publish(some: LogEvent[]) {
    // All at once: who subscribes while this breathes finds them in memory.
    for (const event of some) events.push(event)
    const addressed = some.map(event => ({ event, names: topicsOf(event) }))
    // Ended sessions are known before anybody hears of one, or a stream that opens meanwhile would not.
    const subscribers = topics.of(['sessions', ...addressed.flatMap(({ names }) => names)])
    let served = 0
    let owed = 0
    for (const subscriber of subscribers) {
      for (const { event, names } of addressed) {
        if (!topics.has(names, subscriber)) continue
        subscriber.receive(event)
        owed += event.bytes
      }
      if (++served < limits.slice.subscribers && owed < limits.slice.bytes) continue
      await breathe()
      served = owed = 0
    }
    for (const event of some) count(event)
    head = some.at(-1)?.pos ?? head
    for (const one of waiting) {
      if (one.pos <= head) one.resolve()
    }
  }

  function count({ at, checklistId, rev }: LogEvent) {
    metrics.deliverySeconds.observe(Math.max(0, Date.now() - at.getTime()) / 1000)
    if (checklistId && rev && !revs.accept(checklistId, rev)) metrics.revisionGaps.inc()
  }
}

/** Cuts a page into runs that are published in one go; the last event of a run may exceed its weight. */
function* together(events: LogEvent[]): Generator<LogEvent[]> {
  let some: LogEvent[] = []
  let bytes = 0
  for (const event of events) {
    some.push(event)
    bytes += event.bytes
    if (some.length < limits.together.events && bytes < limits.together.bytes) continue
    yield some
    some = []
    bytes = 0
  }
  if (some.length > 0) yield some
}

function topicsOf({ kind, projectId, checklistId, userId, after }: LogEvent): string[] {
  const topics = []
  if (kind === 'session.ended')
    topics.push('sessions', `session:${JSON.parse(after ?? '{}').sessionId}`)
  else if (userId) topics.push(`user:${userId}`)
  if (projectId) topics.push(`project:${projectId}`)
  if (checklistId) topics.push(`checklist:${checklistId}`)
  return topics
}
