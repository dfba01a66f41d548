import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { BadToken, WrongPassword } from '../../lib/errors.ts'
import { PasswordProof } from '../../schemas/auth.ts'
import { refusals } from '../../schemas/error.ts'
import { NoContent } from '../../schemas/scalars.ts'
import { Me, Rename } from '../../schemas/user.ts'
import { deleteUser, renameUser } from '../../sql/users.ts'

const docs = { tags: ['accounts'], security: [{ bearer: [] }] }

const routes: FastifyPluginAsyncTypebox = async app => {
  const { write, users, credentials, endedSessions } = app

  app.route({
    method: 'GET',
    url: '/me',
    schema: {
      ...docs,
      summary: 'Get the current user',
      description: 'Returns the user of the access token.',
      response: { 200: Me, ...refusals(401, 403, 503) }
    },
    onRequest: app.authenticate,
    handler: async ({ user }) => {
      const me = await users.find(user.id)
      if (!me) throw new BadToken()
      return me
    }
  })

  app.route({
    method: 'PATCH',
    url: '/me',
    schema: {
      ...docs,
      summary: 'Change the name of the current user',
      description:
        "The other members of the user's projects see the new name. Other nodes return it within a second.",
      body: Rename,
      response: { 200: Me, ...refusals(400, 401, 403, 413, 415, 429, 503) }
    },
    onRequest: app.authenticate,
    handler: async ({ user, body }) => {
      const me = await write(user.id, sql => renameUser(sql, user.id, body.name.trim()))
      if (!me) throw new BadToken()
      users.forget(me.id)
      return me
    }
  })

  app.route({
    method: 'DELETE',
    url: '/me',
    schema: {
      ...docs,
      summary: 'Delete the account of the current user',
      description:
        'Ends all sessions of the account, and deletes the projects that have no other owner.',
      body: PasswordProof,
      response: { 204: NoContent, ...refusals(400, 401, 403, 413, 415, 429, 503) }
    },
    onRequest: app.authenticate,
    handler: async (request, reply) => {
      const account = await credentials.confirm(request, request.body.password)
      const isDeleted = await write(account.id, sql => deleteUser(sql, account))
      if (!isDeleted) throw new WrongPassword()
      endedSessions.add(request.user.sessionId)
      users.forget(account.id)
      request.audit('account.deleted', { userId: account.id })
      return reply.code(204).send(null)
    }
  })
}

export default routes
