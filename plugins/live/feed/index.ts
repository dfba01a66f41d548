import type { FastifyError, FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { TooManyStreams } from '../../../lib/errors.ts'
import { eventBlock, type LogEvent } from '../../../lib/event.ts'
import { memoize } from '../../../lib/memoize.ts'
import { refusalOf } from '../../../lib/postgres/errors.ts'
import type { OpenStream } from '../../../schemas/connections.ts'
import type { Identity } from '../../auth/authenticate.ts'
import { closeAll } from '../../http/shutdown.ts'
import { EventStream } from './event-stream.ts'
import { Feed, type FeedOptions } from './feed.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Opens an event stream and sends the headers at once. Throws TooManyStreams when the user has too many. */
    openFeed(reply: FastifyReply, identity: Identity, options: FeedOptions): Promise<void>
    /** Returns the open streams of a user in this process. */
    streamsOf(userId: string): OpenStream[]
    /** Sends an empty stream instead of 503, because an EventSource that receives a 503 never reconnects. */
    feedErrorHandler(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void
  }
}

const limits = { streamsPerUser: 200, retryAfterSeconds: 30 }

async function feed(app: FastifyInstance) {
  const { config, nodeLimits, pubsub, shutdown, metrics } = app
  const feeds = new Set<Feed>()
  const max = config.rateLimit ? limits.streamsPerUser : Number.POSITIVE_INFINITY
  const quota = nodeLimits.quota('streams', max)
  const blockOf = memoize((event: LogEvent) => eventBlock(event, pubsub.epoch))
  const blocksOf = memoize((events: readonly LogEvent[]) => Buffer.concat(events.map(blockOf)))

  app.decorate('openFeed', async (reply, identity, options) => {
    const { userId } = identity
    if (!shutdown.isClosing && !(await quota.tryTake(userId))) {
      const { streamsPerUser, retryAfterSeconds: retryAfter } = limits
      throw Object.assign(new TooManyStreams(streamsPerUser), { retryAfter })
    }
    // The shutdown may also have begun while the primary was counting.
    if (shutdown.isClosing) return new EventStream(reply).end()
    const onClosed = () => {
      feeds.delete(feed)
      quota.release(userId)
    }
    const stream = new EventStream(reply)
    const feed: Feed = new Feed({ app, stream, identity, options, blocksOf, onClosed })
    feeds.add(feed)
    feed.start()
  })

  app.decorate('streamsOf', userId =>
    [...feeds].map(feed => feed.describe()).filter(stream => stream.userId === userId)
  )

  app.decorate('feedErrorHandler', (error, { headers }, reply) => {
    const isTemporary = refusalOf(error).statusCode === 503
    if (!isTemporary || !headers.accept?.includes('text/event-stream')) throw error
    new EventStream(reply).end()
  })

  metrics.states(
    'streams',
    'Open streams by state',
    ['catching_up', 'live', 'lagging'],
    () => feeds
  )
  metrics.gauge('stream_buffered_bytes', 'Bytes written to streams and not yet sent', () =>
    [...feeds].reduce((sum, { bufferedBytes }) => sum + bufferedBytes, 0)
  )

  app.addHook('preClose', () => closeAll(feeds, feed => feed.end()))
}

export default fp(feed, {
  name: 'feed',
  dependencies: [
    ...['config', 'node-limits', 'metrics', 'shutdown', 'pools', 'pubsub', 'catch-up'],
    'ended-sessions'
  ]
})
