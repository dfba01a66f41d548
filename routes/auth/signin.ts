import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { clientOf } from '../../lib/client.ts'
import { canonicalEmail } from '../../lib/email.ts'
import { BadCredentials } from '../../lib/errors.ts'
import { AccessToken, SignIn } from '../../schemas/auth.ts'
import { refusals } from '../../schemas/error.ts'
import { createSession } from '../../sql/sessions.ts'
import { findCredentials, replacePasswordHash } from '../../sql/users.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  const { sql, config, passwords, refreshCookie } = app

  app.route({
    method: 'POST',
    url: '/signin',
    schema: {
      tags: ['accounts'],
      summary: 'Begin a session',
      description: 'Answers an access token, and the refresh token as the cookie `refresh`.',
      body: SignIn,
      response: { 200: AccessToken, ...refusals(400, 401, 403, 413, 415, 503) }
    },
    // Else another site could sign its visitors in to an account of its own (login CSRF).
    onRequest: app.refuseForeignOrigin,
    handler: async (request, reply) => {
      const userId = await whoHas(request.body)
      const session = await createSession(sql, userId, clientOf(request), config)
      refreshCookie.write(reply, session)
      return { accessToken: app.signAccessToken(session) }
    }
  })

  async function whoHas({ email, password }: SignIn): Promise<string> {
    const { id, passwordHash } = (await findCredentials(sql, canonicalEmail(email))) ?? {}
    const isRight = await passwords.verify(passwordHash, password)
    if (!id || !passwordHash || !isRight) throw new BadCredentials()
    if (passwords.isWeak(passwordHash)) {
      const stronger = await passwords.hash(password)
      await replacePasswordHash(sql, id, { from: passwordHash, to: stronger })
    }
    return id
  }
}

export default routes
