import { setImmediate as breathe, setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import postgres from 'postgres'
import { type Bell, createBell } from '../../lib/bell.ts'
import { createRing } from '../../lib/ring.ts'
import { createTopics } from '../../lib/topics.ts'
import { type LogEvent, readAfter, readHead } from '../../sql/log.ts'
import { connection, type Sql } from '../db.ts'
import { createListener } from './listener.ts'

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
  retryMs: 250,
  // Longer than this nobody waits to hear what they themselves wrote.
  reachMs: 5000,
  page: 1000,
  ring: { max: 10_000, maxBytes: 32 << 20 },
  // A broadcast to thousands of subscribers lets other work in between.
  slice: 500
}

export default fp(
  async app => {
    const pubsub = await createPubSub(app)
    app.decorate('pubsub', pubsub)
    app.addHook('onClose', () => pubsub.close())
  },
  { name: 'pubsub', dependencies: ['db'] }
)

/** Every event after `pos`, page by page, until the bell stays silent for a poll, `signal` aborts or reading fails. */
export async function* tail(
  sql: Sql,
  pos: number,
  bell: Bell,
  signal: AbortSignal
): AsyncGenerator<LogEvent[]> {
  for (
    let from = pos, rung = true;
    rung && !signal.aborted;
    rung = await bell.rung(limits.pollMs)
  ) {
    for (let page: LogEvent[] | undefined; page?.length !== 0; ) {
      page = await readAfter(sql, from, limits.page)
      from = page.at(-1)?.pos ?? from
      if (page.length > 0) yield page
    }
  }
}

/** The log of the database, live: one LISTEN connection and one reader a process, whatever the number of clients. */
async function createPubSub({ database, sql, log }: FastifyInstance) {
  const reader: Sql = postgres(database.listenUrl, {
    ...connection,
    max: 1,
    connection: { ...connection.connection, application_name: 'concord tail' }
  })
  const bell = createBell()
  const events = createRing<LogEvent>(limits.ring)
  const topics = createTopics<Subscriber>()
  const everyone = new Set<Subscriber>()
  const waiting = new Set<{ pos: number; resolve: () => void }>()
  const closing = new AbortController()
  let state = { epoch: '', head: 0, floor: 0 }

  const listener = await createListener({ url: database.listenUrl, sql, log, onBell: bell.ring })
  await look()
  const tailing = run()

  return {
    /** Which life of the database the cursors belong to. */
    get epoch() {
      return state.epoch
    },

    /** The position of the newest event that every subscriber has received. */
    get head() {
      return state.head
    },

    /** Resolves when every subscriber has received the event at `pos`, or when that takes longer than it may. */
    async reached(pos: number) {
      if (pos <= state.head) return
      const { promise, resolve } = Promise.withResolvers<void>()
      const one = { pos, resolve }
      waiting.add(one)
      const timer = setTimeout(resolve, limits.reachMs)
      await promise
      clearTimeout(timer)
      waiting.delete(one)
    },

    /** The position from which on the log is whole. */
    get floor() {
      return state.floor
    },

    /** The events after `pos` if memory still has them all, else null. */
    recent: events.after,

    /**
     * Hears every event: for who has yet to learn what it is entitled to. Answers the way to stop.
     * Subscriptions made between two events miss none: the hand-over to topics needs no lock.
     */
    subscribeToAll(subscriber: Subscriber): () => void {
      everyone.add(subscriber)
      return () => everyone.delete(subscriber)
    },

    /** Hears the events of one topic: `user:`, `project:`, `checklist:` or `session:` and an id, or `sessions`. */
    subscribe: topics.subscribe,

    /** What an operator wants to know. */
    health() {
      return {
        listening: listener.isListening,
        head: state.head,
        topics: topics.size,
        ring: events.span
      }
    },

    async close() {
      closing.abort()
      bell.ring()
      await listener.close()
      await tailing
      await reader.end({ timeout: 1 })
    }
  }

  /** Reads where the log stands; when it is another log than before, everybody starts anew. */
  async function look() {
    const { epoch, head, floor } = await readHead(reader)
    const isAnother = epoch !== state.epoch
    state = { epoch, head: isAnother ? head : state.head, floor }
    if (!isAnother) return
    events.reset(head)
    for (const subscriber of topics.all()) subscriber.reset()
    for (const subscriber of everyone) subscriber.reset()
  }

  async function run() {
    let isAway = false
    while (!closing.signal.aborted) {
      try {
        for await (const page of tail(reader, state.head, bell, closing.signal)) {
          for (const event of page) await publish(event)
        }
        if (closing.signal.aborted) return
        await look()
        if (isAway) log.info('reading the log again')
        isAway = false
      } catch (err) {
        if (!isAway) log.error({ err }, 'cannot read the log: trying again until it works')
        isAway = true
        await delay(limits.retryMs)
        bell.ring()
      }
    }
  }

  /** Hands one event to everybody concerned, before the next is looked at. */
  async function publish(event: LogEvent) {
    events.push(event)
    let count = 0
    for (const group of [everyone, topics.of(topicsOf(event))]) {
      for (const subscriber of group) {
        subscriber.receive(event)
        if (++count % limits.slice === 0) await breathe()
      }
    }
    state.head = event.pos
    for (const one of waiting) {
      if (one.pos <= event.pos) one.resolve()
    }
  }
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
