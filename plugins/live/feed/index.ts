import { setImmediate as breathe } from 'node:timers/promises'
import type { FastifyError } from 'fastify'
import fp from 'fastify-plugin'
import { formatCursor } from '../../../lib/cursor.ts'
import { TooManyStreams } from '../../../lib/errors.ts'
import { feedJson, memoize, sseBytes } from '../../../lib/event.ts'
import { createQuota } from '../../../lib/quota.ts'
import type { LogEvent } from '../../../sql/log.ts'
import type { Identity } from '../../auth/authenticate.ts'
import { fromPostgres } from '../../http/errors.ts'
import { openEventStream } from './event-stream.ts'
import { createFeed, type Feed, type FeedOptions } from './feed.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Turns a reply into the live feed of a user; the head of the answer is written at memoize. Throws
     * TooManyStreams when the user has too many.
     */
    openFeed(reply: FastifyReply, identity: Identity, options: FeedOptions): void
    /** The error handler of a stream: an EventSource that is answered 503 would be dead for good. */
    feedErrorHandler(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void
  }
}

const limits = {
  streamsAUser: 200,
  retryAfterSeconds: 30,
  // Streams ended in one go.
  slice: 200
}

export default fp(
  async app => {
    const open = new Set<Feed>()
    let isClosing = false
    const quota = createQuota(app.config.rateLimit ? limits.streamsAUser : Number.POSITIVE_INFINITY)
    const bytesOf = memoize((event: LogEvent) =>
      sseBytes(
        event.kind,
        formatCursor({ epoch: app.pubsub.epoch, pos: event.pos }),
        feedJson(event)
      )
    )

    app.decorate('openFeed', (reply, identity, options) => {
      if (isClosing) return openEventStream(reply).end()
      const { userId } = identity
      if (quota.isUsedUp(userId)) {
        const { streamsAUser, retryAfterSeconds: retryAfter } = limits
        throw Object.assign(new TooManyStreams(streamsAUser), { retryAfter })
      }
      quota.take(userId)
      const onGone = () => {
        open.delete(feed)
        quota.giveBack(userId)
      }
      const parts = { identity, options, bytesOf, onGone }
      const feed: Feed = createFeed(app, openEventStream(reply), parts)
      open.add(feed)
      feed.start()
    })

    app.decorate('feedErrorHandler', (error, { headers }, reply) => {
      const isPassing = fromPostgres(error).statusCode === 503
      if (!isPassing || !headers.accept?.includes('text/event-stream')) throw error
      openEventStream(reply).end()
    })

    const states = ['catching_up', 'live', 'lagging']
    app.metrics.states('streams', 'Open streams', states, () => open)
    app.metrics.gauge('stream_buffered_bytes', 'Written to streams and not yet sent', () =>
      [...open].reduce((sum, { bufferedBytes }) => sum + bufferedBytes, 0)
    )

    // app.close() waits for every answer, and these have no end of their own.
    app.addHook('preClose', async () => {
      isClosing = true
      for (const [n, feed] of [...open].entries()) {
        feed.end()
        if (n % limits.slice === 0) await breathe()
      }
    })
  },
  {
    name: 'feed',
    dependencies: ['config', 'pubsub', 'catch-up', 'ended-sessions', 'metrics']
  }
)
