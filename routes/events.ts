import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { ErrorBody } from '../schemas/error.ts'
import { FeedHeaders, FeedQuery } from '../schemas/event.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '/events',
    {
      exposeHeadRoute: false,
      schema: {
        tags: ['live'],
        summary: 'Follow your projects live',
        description:
          'A Server-Sent Events stream of every event of your projects and about you: in commit order, each once, ' +
          'resumed without a gap after `Last-Event-ID`, or an explicit `reset`. With a Bearer token, or with the ' +
          "refresh cookie so that a browser's plain `new EventSource('/events')` works. While the database is away, a " +
          'client that accepts `text/event-stream` gets a stream that ends at once and says when to come back: an ' +
          'EventSource would give up at a 503.',
        security: [{ bearer: [] }, { cookie: [] }],
        querystring: FeedQuery,
        headers: FeedHeaders,
        response: {
          200: {
            description: 'the stream; it ends with the access token or the session',
            content: { 'text/event-stream': { schema: Type.String() } }
          },
          400: ErrorBody,
          401: ErrorBody,
          403: ErrorBody,
          429: ErrorBody,
          503: ErrorBody
        }
      },
      onRequest: app.authenticateSubscriber,
      errorHandler: app.feedErrorHandler
    },
    async ({ identity, headers, query }, reply) => {
      app.openFeed(reply, identity, {
        cursor: headers['last-event-id'] ?? query.last_event_id,
        projects: query.project
      })
    }
  )
}

export default routes
