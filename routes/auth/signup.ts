import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { canonicalEmail } from '../../lib/email.ts'
import { EmailTaken } from '../../lib/errors.ts'
import { SignUp } from '../../schemas/auth.ts'
import { refusals } from '../../schemas/error.ts'
import { User } from '../../schemas/user.ts'
import { createUser } from '../../sql/users.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  const { write, credentials, config } = app

  app.route({
    method: 'POST',
    url: '/signup',
    schema: {
      tags: ['accounts'],
      summary: 'Create an account',
      description: 'Each email address can have only one account. Does not sign in.',
      body: SignUp(config.passwordMinLength),
      response: { 201: User, ...refusals(400, 409, 413, 415, 429, 503) }
    },
    handler: async (request, reply) => {
      const { body } = request
      const passwordHash = await credentials.create(request, body.password)
      const email = canonicalEmail(body.email)
      const account = { email, name: body.name.trim(), passwordHash }
      const user = await write(email, sql => createUser(sql, account))
      if (!user) throw new EmailTaken()
      request.audit('account.created', { userId: user.id })
      return reply.code(201).send(user)
    }
  })
}

export default routes
