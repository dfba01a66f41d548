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
        summary: 'Stream the events of the current user',
        description:
          "Opens a Server-Sent Events stream of all events of the user's projects and all events about the user, in " +
          'commit order and each event once. With `Last-Event-ID` it resumes without a gap, or sends `reset` when it ' +
          "cannot. Authenticate with a Bearer token, or with the refresh cookie, which a browser's " +
          "`new EventSource('/events')` sends. While the database cannot be reached, a client that accepts " +
          '`text/event-stream` receives a stream that ends at once after `retry`, because an EventSource does not ' +
          'reconnect after a 503.',
        security: [{ bearer: [] }, { cookie: [] }],
        querystring: FeedQuery,
        headers: FeedHeaders,
        response: {
          200: {
            description: 'The stream. It ends when the access token expires or the session ends',
            content: { 'text/event-stream': { schema: Type.String() } }
          },
          400: ErrorBody,
          401: ErrorBody,
          403: ErrorBody,
          429: ErrorBody,
          503: ErrorBody
        }
      },
      // Not onRequest: an invalid query returns 400 whatever the token is.
      preHandler: app.authenticateSubscriber,
      errorHandler: app.feedErrorHandler
    },
    async ({ identity, headers, query }, reply) => {
      await app.openFeed(reply, identity, {
        cursor: headers['last-event-id'] ?? query.last_event_id,
        projects: query.project
      })
    }
  )
}

export default routes
