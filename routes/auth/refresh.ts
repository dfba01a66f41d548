import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { clientInfo } from '../../lib/client-address.ts'
import { BadRefresh } from '../../lib/errors.ts'
import { AccessToken } from '../../schemas/auth.ts'
import { refusals } from '../../schemas/error.ts'
import { rotateSession } from '../../sql/sessions.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  const { write, config, refreshCookie, endedSessions } = app

  app.route({
    method: 'POST',
    url: '/refresh',
    schema: {
      tags: ['accounts'],
      summary: 'Get a new access token',
      description:
        'Returns an access token, and the next refresh token in the cookie `refresh`. The previous refresh token is ' +
        'accepted for some seconds more, for concurrent requests of other tabs. If it is sent later, the session ends.',
      security: [{ cookie: [] }],
      response: { 200: AccessToken, ...refusals(401, 403, 503) }
    },
    onRequest: app.refuseForeignOrigin,
    handler: async (request, reply) => {
      const token = refreshCookie.read(request)
      const session = await write(token.sessionId, sql =>
        rotateSession(sql, token, clientInfo(request), config)
      )
      if (!session) throw new BadRefresh()
      const about = { userId: session.userId, sessionId: session.id }
      if (session.isReused) {
        endedSessions.add(session.id)
        request.audit('session.reused', about)
        throw new BadRefresh()
      }
      request.audit('session.refreshed', about)
      refreshCookie.write(reply, session)
      return { accessToken: app.signAccessToken(session) }
    }
  })
}

export default routes
