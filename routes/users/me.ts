import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { BadToken } from '../../lib/errors.ts'
import { refusals } from '../../schemas/error.ts'
import { Me } from '../../schemas/user.ts'
import { findUser } from '../../sql/users.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  const { sql } = app

  app.route({
    method: 'GET',
    url: '/me',
    schema: {
      tags: ['accounts'],
      summary: 'Who am I',
      security: [{ bearer: [] }],
      response: { 200: Me, ...refusals(401, 403, 503) }
    },
    onRequest: app.authenticate,
    handler: async ({ user }) => {
      const me = await findUser(sql, user.id)
      if (!me) throw new BadToken()
      return me
    }
  })
}

export default routes
