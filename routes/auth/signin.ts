import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { clientInfo } from '../../lib/client-address.ts'
import { canonicalEmail } from '../../lib/email.ts'
import { BadCredentials } from '../../lib/errors.ts'
import { AccessToken, SignIn } from '../../schemas/auth.ts'
import { refusals } from '../../schemas/error.ts'
import { createSession } from '../../sql/sessions.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  const { write, config, credentials, refreshCookie, endedSessions } = app

  app.route({
    method: 'POST',
    url: '/signin',
    schema: {
      tags: ['accounts'],
      summary: 'Sign in',
      description:
        'Creates a session. Returns an access token, and a refresh token in the cookie `refresh`. If the request ' +
        'contains this cookie, ends the session of the cookie.',
      body: SignIn,
      response: { 200: AccessToken, ...refusals(400, 401, 403, 413, 415, 429, 503) }
    },
    // Without this hook, another site could sign in its visitors to an account of the attacker (login CSRF).
    onRequest: app.refuseForeignOrigin,
    handler: async (request, reply) => {
      const { email, password } = request.body
      const account = await credentials.check(request, { email: canonicalEmail(email), password })
      const replaced = refreshCookie.find(request)?.sessionId
      const client = clientInfo(request)
      const session = await write(account.id, sql =>
        createSession(sql, account, { client, replaced }, config)
      )
      if (!session) throw new BadCredentials()
      endedSessions.add(...session.ended)
      request.audit('session.started', { userId: account.id, sessionId: session.id })
      refreshCookie.write(reply, session)
      return { accessToken: app.signAccessToken(session) }
    }
  })
}

export default routes
