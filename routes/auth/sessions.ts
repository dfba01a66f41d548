import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { refusals } from '../../schemas/error.ts'
import { NoContent } from '../../schemas/scalars.ts'
import { SessionParams, Sessions } from '../../schemas/session.ts'
import { endOtherSessions, endSession, listSessions } from '../../sql/sessions.ts'

const docs = { tags: ['accounts'], security: [{ bearer: [] }] }

const routes: FastifyPluginAsyncTypebox = async app => {
  const { sql, write, endedSessions } = app

  app.route({
    method: 'GET',
    url: '/sessions',
    schema: {
      ...docs,
      summary: 'List the sessions of the current user',
      description:
        'The devices and browsers where the user is signed in, at most 50, the last used first.',
      response: { 200: Sessions, ...refusals(401, 403, 503) }
    },
    onRequest: app.authenticate,
    handler: async ({ user }) => ({ sessions: await listSessions(sql, user.id, user.sessionId) })
  })

  app.route({
    method: 'DELETE',
    url: '/sessions/:sessionId',
    schema: {
      ...docs,
      summary: 'End a session of the current user',
      description:
        'Within a second, the tokens of the session are refused, and its streams and sockets close.',
      params: SessionParams,
      response: { 204: NoContent, ...refusals(400, 401, 403, 404, 503) }
    },
    config: { writeRate: false },
    onRequest: app.authenticate,
    handler: async (request, reply) => {
      const { user, params } = request
      const sessionId = params.sessionId.toLowerCase()
      await write(user.id, sql => endSession(sql, user.id, sessionId))
      endedSessions.add(sessionId)
      request.audit('session.ended', { userId: user.id, sessionId })
      return reply.code(204).send(null)
    }
  })

  app.route({
    method: 'DELETE',
    url: '/sessions',
    schema: {
      ...docs,
      summary: 'End all other sessions of the current user',
      description: 'Only the session of this request remains.',
      response: { 204: NoContent, ...refusals(401, 403, 503) }
    },
    config: { writeRate: false },
    onRequest: app.authenticate,
    handler: async (request, reply) => {
      const { user } = request
      const ended = await write(user.id, sql => endOtherSessions(sql, user.id, user.sessionId))
      endedSessions.add(...ended)
      for (const sessionId of ended) request.audit('session.ended', { userId: user.id, sessionId })
      return reply.code(204).send(null)
    }
  })
}

export default routes
