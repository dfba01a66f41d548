import { setImmediate as breathe } from 'node:timers/promises'
import fp from 'fastify-plugin'
import { formatCursor } from '../../lib/cursor.ts'
import { TooBusy } from '../../lib/errors.ts'
import { boundedQueue } from '../../lib/queue.ts'
import { feedJson, once, sseBytes } from '../../lib/wire.ts'
import type { LogEvent } from '../../sql/log.ts'
import type { Identity } from '../auth.ts'
import { openEventStream } from './event-stream.ts'
import { createFeed, type Feed, type FeedOptions } from './feed.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Turns a reply into the live feed of a user; the head of the answer is written at once. */
    openFeed(reply: FastifyReply, identity: Identity, options: FeedOptions): void
  }
}

const limits = {
  // When thousands come back at once, so many at a time ask the database for what memory does not have.
  readers: { running: 4, waiting: 10_000 },
  // Streams ended in one go.
  slice: 200
}

export default fp(
  async app => {
    const open = new Set<Feed>()
    const inTurn = boundedQueue(limits.readers, () => new TooBusy())
    const bytesOf = once((event: LogEvent) =>
      sseBytes(
        event.kind,
        formatCursor({ epoch: app.pubsub.epoch, pos: event.pos }),
        feedJson(event)
      )
    )

    app.decorate('openFeed', (reply, identity, options) => {
      const onGone = () => open.delete(feed)
      const parts = { identity, options, bytesOf, inTurn, onGone }
      const feed: Feed = createFeed(app, openEventStream(reply), parts)
      open.add(feed)
      feed.start()
    })

    app.metrics.gauges('streams', 'Open streams', 'place', () => {
      const counts: Record<string, number> = { 'catching up': 0, live: 0, lagging: 0 }
      for (const { place } of open) counts[place] = (counts[place] ?? 0) + 1
      return counts
    })
    app.metrics.gauge('stream_buffered_bytes', 'Written to streams and not yet sent', () =>
      [...open].reduce((sum, { bufferedBytes }) => sum + bufferedBytes, 0)
    )

    // app.close() waits for every answer, and these have no end of their own.
    app.addHook('preClose', async () => {
      for (const [n, feed] of [...open].entries()) {
        feed.end()
        if (n % limits.slice === 0) await breathe()
      }
    })
  },
  { name: 'feed', dependencies: ['pubsub', 'wheel', 'sessions', 'metrics'] }
)
