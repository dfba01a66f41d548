import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { refusals } from '../../schemas/error.ts'
import { endSession } from '../../sql/sessions.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  const { sql, refreshCookie, sessions } = app

  app.route({
    method: 'POST',
    url: '/signout',
    schema: {
      tags: ['accounts'],
      summary: 'End the session',
      description: 'Takes the cookie away, whatever is in it.',
      security: [{ cookie: [] }, {}],
      response: { 200: Type.Object({}), ...refusals(403, 503) }
    },
    onRequest: app.refuseForeignOrigin,
    handler: async (request, reply) => {
      const token = refreshCookie.find(request)
      if (token) {
        await endSession(sql, token.sessionId, 'signed_out')
        sessions.end(token.sessionId)
      }
      refreshCookie.clear(reply)
      return {}
    }
  })
}

export default routes
