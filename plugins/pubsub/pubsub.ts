import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { batches } from '../../lib/batches.ts'
import { changesSubscriptions, type LogEvent, topicsOf } from '../../lib/event.ts'
import { createGapDetector } from '../../lib/gap-detector.ts'
import { createSelector } from '../../lib/selection.ts'
import { createTopics } from '../../lib/topics.ts'
import { readLogState, renewEpoch } from '../../sql/log.ts'
import type { Follow, Page } from './follow.ts'
import { createLogReader } from './log-reader.ts'
import type { Source } from './log-source.ts'
import { createMemory } from './memory.ts'
import { createRelay } from './relay.ts'
import { createSource } from './source.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Delivers the events of the log to the subscribers of this node, in order and each event once. */
    pubsub: PubSub
  }
}

/** Receives events. Its functions must not throw, and must return at once. */
export interface Subscriber {
  receive(events: readonly LogEvent[]): void
  /** Called after a restore or a fail-over: positions and revisions received so far are not valid any more. */
  reset(): void
}

export type PubSub = Awaited<ReturnType<typeof createPubSub>>

const limits = {
  retryMs: 250,
  // Pages of a source that repeats old pages, or that reads another database, cause at most one query per second.
  checkMs: 1000,
  deliveryWaitMs: 5000,
  // Maximum number of checklists whose revisions are checked for gaps.
  watchedChecklists: 10_000,
  // A subscriber receives its events of a batch together, because eight messages in one write cost as much as one.
  batch: { events: 20, bytes: 256 << 10 },
  // After deliveries to this many subscribers, or of this many bytes, the loop yields to other work.
  slice: { subscribers: 500, bytes: 4 << 20 }
}

async function plugin(app: FastifyInstance) {
  const { primary, metrics } = app
  const source = primary ? createRelay(primary) : await createSource(app)
  app.addHook('onClose', source.close)
  const pubsub = await createPubSub(app, source)
  app.decorate('pubsub', pubsub)
  const { gauge } = metrics
  const { health } = pubsub
  gauge(
    'delivered_head',
    'Newest position that this node has delivered',
    () => health().deliveredHead,
    'min'
  )
  gauge(
    'undelivered_events',
    'Committed events that this node has not delivered',
    () => health().lag,
    'max'
  )
  gauge(
    'listener_up',
    '1 while notifications arrive on the LISTEN connection',
    () => Number(health().listening),
    'min'
  )
  gauge('subscribed_topics', 'Topics with a subscriber on this node', () => health().topics)
  gauge(
    'ring_buffer_events',
    'Events in memory for subscribers that catch up',
    () => health().buffer.events
  )
  gauge('ring_buffer_bytes', 'Bytes of the events in memory', () => health().buffer.bytes)
  app.addHook('onClose', () => pubsub.close())
}

/** Delivers the pages of `follow` to any number of subscribers. Reads from PostgreSQL what these pages leave out. */
export async function createPubSub(
  { sql, log, metrics, tracing }: Pick<FastifyInstance, 'sql' | 'log' | 'metrics' | 'tracing'>,
  {
    follow,
    isListening,
    onWait = () => {}
  }: { follow: Follow } & Pick<Source, 'isListening'> & Partial<Pick<Source, 'onWait'>>
) {
  const read = createLogReader(sql)
  const memory = createMemory(sql, () => metrics.catchUps.inc({ from: 'log' }))
  const topics = createTopics<Subscriber>()
  const waiters = new Set<{ pos: number; resolve: () => void }>()
  const closing = new AbortController()
  const state = await readLogState(sql)
  let { epoch } = state
  let deliveredHead = state.committedHead
  let committedHead = state.committedHead
  /** Time since which the log cannot be read, as performance.now(); undefined while it can be read. */
  let outageSince: number | undefined
  let checkedAt = Number.NEGATIVE_INFINITY
  memory.reset({ epoch, pos: deliveredHead })

  const revisions = createGapDetector(limits.watchedChecklists)
  const delivering = run()

  return {
    get epoch() {
      return epoch
    },

    /** The newest position that every subscriber has received. */
    get deliveredHead() {
      return deliveredHead
    },

    /** Waits until every subscriber has received the event at `pos`. Returns false when that takes longer than 5 s. */
    async delivered(pos: number): Promise<boolean> {
      if (pos <= deliveredHead) return true
      const { promise, resolve } = Promise.withResolvers<void>()
      const waiter = { pos, resolve }
      waiters.add(waiter)
      onWait()
      const timer = setTimeout(resolve, limits.deliveryWaitMs)
      await promise
      clearTimeout(timer)
      waiters.delete(waiter)
      return pos <= deliveredHead
    },

    /**
     * Returns the first `limit` events after a cursor, or null when memory does not contain all of them. A subscriber
     * that then subscribes without an await in between misses no event: memory stores each event before its delivery.
     */
    recent: memory.after,

    /** Reads the events after a cursor into memory, unless too many of them are missing there. */
    loadRecent: memory.load,

    /** Whether events arrive without a delay: false during an outage, and while events are found by polling. */
    get isCurrent() {
      return outageSince === undefined && isListening()
    },

    /** Delivers the events of a topic: `sessions`, `users`, or `user:`, `project:`, `checklist:` or `session:` and an id. */
    subscribe: topics.subscribe,

    /** While `listening` is false, events are found by polling. */
    health() {
      return {
        listening: isListening(),
        reading: outageSince === undefined,
        lag: Math.max(0, committedHead - deliveredHead),
        deliveredHead,
        topics: topics.size,
        buffer: memory.stats
      }
    },

    async close() {
      closing.abort()
      await delivering
    }
  }

  async function run() {
    while (!closing.signal.aborted) {
      try {
        await deliverPages()
      } catch (err) {
        if (closing.signal.aborted) return
        if (outageSince === undefined) log.error({ err }, 'log query failed: retrying')
        outageSince ??= performance.now()
        await delay(limits.retryMs)
      }
    }
  }

  /** Delivers the pages of the source one after the other. Returns when the log was replaced. */
  async function deliverPages() {
    for await (const page of follow({ epoch, pos: deliveredHead }, closing.signal)) {
      endOutage()
      const isOfLog = page.epoch === epoch && page.head >= deliveredHead
      if (isOfLog && page.after <= deliveredHead) await deliverPage(page)
      else if ((isOfLog || isCheckDue()) && (await deliverFromPostgres()) === 'replaced') return
    }
    if (!closing.signal.aborted) throw new Error('the source of pages has ended')
  }

  function isCheckDue() {
    const isDue = performance.now() - checkedAt > limits.checkMs
    if (isDue) checkedAt = performance.now()
    return isDue
  }

  /** Delivers all events after the delivered head. Only the pages that are read here can replace the epoch. */
  async function deliverFromPostgres(): Promise<'delivered' | 'replaced'> {
    for (;;) {
      const page = await read(deliveredHead)
      metrics.logReads.inc()
      if (page.epoch !== epoch) {
        reset(page)
        return 'replaced'
      }
      // The database was restored. New events will have positions that this node has already delivered.
      if (page.head < deliveredHead) await renewEpoch(sql, { epoch, pos: deliveredHead })
      else await deliverPage(page)
      if (page.to === page.head) return 'delivered'
    }
  }

  async function deliverPage({ to, head, events }: Page) {
    const readAt = new Date()
    committedHead = Math.max(committedHead, head)
    const next = events.filter(({ pos }) => pos > deliveredHead)
    for (const batch of batches(next, limits.batch, changesSubscriptions)) {
      await deliver(batch, readAt)
      await nextTurn()
    }
    advance(to)
  }

  function advance(pos: number) {
    deliveredHead = Math.max(deliveredHead, pos)
    for (const { pos, resolve } of waiters) if (pos <= deliveredHead) resolve()
  }

  function endOutage() {
    if (outageSince === undefined) return
    metrics.outageSeconds.inc((performance.now() - outageSince) / 1000)
    log.info('log query works again')
    outageSince = undefined
  }

  function reset(now: Page) {
    log.warn({ from: epoch, to: now.epoch }, 'database restored or replaced: resetting all cursors')
    epoch = now.epoch
    deliveredHead = now.head
    committedHead = now.head
    memory.reset({ epoch, pos: deliveredHead })
    revisions.reset()
    for (const subscriber of topics.all()) subscriber.reset()
  }

  async function deliver(batch: LogEvent[], readAt: Date) {
    // Store the events first. A subscriber that joins while this loop yields reads them from memory.
    for (const event of batch) memory.push(event)
    // Deliver to `sessions` first. A stream that opens while this loop yields must know that its session has ended.
    const subscribers = topics.of(['sessions', ...batch.flatMap(topicsOf)])
    const select = createSelector(batch, event => topics.setsOf(topicsOf(event)))
    let served = 0
    let bytes = 0
    for (const subscriber of subscribers) {
      const selection = select(subscriber)
      // A subscriber may have unsubscribed while this loop yielded.
      if (selection.events.length > 0) subscriber.receive(selection.events)
      bytes += selection.bytes
      if (++served < limits.slice.subscribers && bytes < limits.slice.bytes) continue
      await nextTurn()
      served = bytes = 0
    }
    for (const event of batch) observe(event, readAt)
    advance(batch.at(-1)?.pos ?? 0)
  }

  function observe(event: LogEvent, readAt: Date) {
    const { at, checklistId, rev } = event
    metrics.deliverySeconds.observe(Math.max(0, Date.now() - at.getTime()) / 1000)
    if (checklistId && rev && !revisions.accept(checklistId, rev)) metrics.revisionGaps.inc()
    if (event.trace) tracing?.recordDelivery(event, readAt)
  }
}

export default fp(plugin, {
  name: 'pubsub',
  dependencies: ['config', 'tracing', 'database', 'pools', 'metrics']
})
