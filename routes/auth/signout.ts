import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { refusals } from '../../schemas/error.ts'
import { signOut } from '../../sql/sessions.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  const { write, refreshCookie, endedSessions } = app

  app.route({
    method: 'POST',
    url: '/signout',
    schema: {
      tags: ['accounts'],
      summary: 'Sign out',
      description:
        'Ends the session of the refresh cookie. Deletes the cookie, even when it is not valid.',
      security: [{ cookie: [] }, {}],
      response: { 200: Type.Object({}, { description: 'Signed out' }), ...refusals(403, 503) }
    },
    onRequest: app.refuseForeignOrigin,
    handler: async (request, reply) => {
      const { sessionId } = refreshCookie.find(request) ?? {}
      const userId = sessionId && (await write(sessionId, sql => signOut(sql, sessionId)))
      if (userId) {
        endedSessions.add(sessionId)
        request.audit('session.ended', { userId, sessionId })
      }
      refreshCookie.clear(reply)
      return {}
    }
  })
}

export default routes
