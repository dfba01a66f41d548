import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { canonicalEmail } from '../../../lib/email.ts'
import { UserNotFound } from '../../../lib/errors.ts'
import { refusals } from '../../../schemas/error.ts'
import { Member, MemberParams, Members, NewMember, RoleBody } from '../../../schemas/member.ts'
import { PageQuery } from '../../../schemas/page.ts'
import { ProjectParams } from '../../../schemas/project.ts'
import { NoContent } from '../../../schemas/scalars.ts'
import {
  addMember,
  changeRole,
  findUserToAdd,
  listMembers,
  removeMember
} from '../../../sql/members.ts'

const docs = { tags: ['members'], security: [{ bearer: [] }] }

const routes: FastifyPluginAsyncTypebox = async app => {
  const { sql, write, throttle } = app

  app.route({
    method: 'GET',
    url: '/members',
    schema: {
      ...docs,
      summary: 'List the members of a project',
      description: 'Allowed for every member. Lists members in the order in which they were added.',
      params: ProjectParams,
      querystring: PageQuery,
      response: { 200: Members, ...refusals(400, 401, 403, 404, 503) }
    },
    onRequest: app.authenticate,
    handler: ({ user, params, query }) => listMembers(sql, user.id, params.projectId, query)
  })

  app.route({
    method: 'POST',
    url: '/members',
    schema: {
      ...docs,
      summary: 'Add a member',
      description:
        'Allowed only for owners. Returns 404 `USER_NOT_FOUND` when no account has this email, and 429 after 50 such ' +
        'responses in an hour. Returns 409 `ALREADY_MEMBER` when the user is a member already: use PATCH to change ' +
        'the role.',
      params: ProjectParams,
      body: NewMember,
      response: { 201: Member, ...refusals(400, 401, 403, 404, 409, 413, 415, 429, 503) }
    },
    onRequest: app.authenticate,
    handler: async (request, reply) => {
      const { user, params, body } = request
      const email = canonicalEmail(body.email)
      const found = await throttle.lookUp(request, () =>
        findUserToAdd(sql, user.id, params.projectId, email)
      )
      if (!found) throw new UserNotFound()
      const member = await write(user.id, sql =>
        addMember(sql, user.id, params.projectId, { ...body, email })
      )
      return reply.code(201).send(member)
    }
  })

  app.route({
    method: 'PATCH',
    url: '/members/:userId',
    schema: {
      ...docs,
      summary: 'Change the role of a member',
      description:
        'Allowed only for owners. Returns 409 `LAST_OWNER` when the project would have no owner any more.',
      params: MemberParams,
      body: RoleBody,
      response: { 200: Member, ...refusals(400, 401, 403, 404, 409, 413, 415, 429, 503) }
    },
    onRequest: app.authenticate,
    handler: ({ user, params: { projectId, userId }, body: { role } }) =>
      write(user.id, sql => changeRole(sql, user.id, projectId, { userId, role }))
  })

  app.route({
    method: 'DELETE',
    url: '/members/:userId',
    schema: {
      ...docs,
      summary: 'Remove a member, or leave a project',
      description:
        'Owners may remove every member; all members may remove themselves. Returns 409 `LAST_OWNER` when the ' +
        'project would have no owner any more.',
      params: MemberParams,
      response: { 204: NoContent, ...refusals(400, 401, 403, 404, 409, 429, 503) }
    },
    onRequest: app.authenticate,
    handler: async ({ user, params: { projectId, userId } }, reply) => {
      await write(user.id, sql => removeMember(sql, user.id, projectId, userId))
      return reply.code(204).send(null)
    }
  })
}

export default routes
