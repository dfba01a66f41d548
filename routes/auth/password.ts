import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { WrongPassword } from '../../lib/errors.ts'
import { PasswordChange } from '../../schemas/auth.ts'
import { refusals } from '../../schemas/error.ts'
import { NoContent } from '../../schemas/scalars.ts'
import { changePassword } from '../../sql/users.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  const { write, config, credentials, passwords, endedSessions } = app

  app.route({
    method: 'POST',
    url: '/password',
    schema: {
      tags: ['accounts'],
      summary: 'Change my password',
      description: 'Ends every other session.',
      security: [{ bearer: [] }],
      body: PasswordChange(config.passwordMinLength),
      response: { 204: NoContent, ...refusals(400, 401, 403, 413, 415, 429, 503) }
    },
    config: { writeRate: false },
    onRequest: app.authenticate,
    handler: async (request, reply) => {
      const { current, next } = request.body
      const account = await credentials.confirm(request, current)
      const passwordHash = await passwords.hash(next)
      const keep = request.user.sessionId
      const ended = await write(account.id, sql =>
        changePassword(sql, account, { passwordHash, keep })
      )
      if (!ended) throw new WrongPassword()
      endedSessions.add(...ended)
      request.audit('password.changed', { userId: account.id, sessionId: keep })
      return reply.code(204).send(null)
    }
  })
}

export default routes
