import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { refusals } from '../../../schemas/error.ts'
import { Project, ProjectBody, ProjectParams } from '../../../schemas/project.ts'
import { NoContent } from '../../../schemas/scalars.ts'
import { deleteProject, findProject, renameProject } from '../../../sql/projects.ts'

const docs = { tags: ['projects'], security: [{ bearer: [] }], params: ProjectParams }

const routes: FastifyPluginAsyncTypebox = async app => {
  const { sql, write } = app

  app.route({
    method: 'GET',
    url: '',
    schema: {
      ...docs,
      summary: 'Get a project',
      description: 'Allowed for its members; all other users receive 404.',
      response: { 200: Project, ...refusals(400, 401, 403, 404, 503) }
    },
    onRequest: app.authenticate,
    handler: ({ user, params }) => findProject(sql, user.id, params.projectId)
  })

  app.route({
    method: 'PATCH',
    url: '',
    schema: {
      ...docs,
      summary: 'Rename a project',
      description: 'Allowed only for owners.',
      body: ProjectBody,
      response: { 200: Project, ...refusals(400, 401, 403, 404, 413, 415, 429, 503) }
    },
    onRequest: app.authenticate,
    handler: ({ user, params, body }) =>
      write(user.id, sql => renameProject(sql, user.id, params.projectId, body.name.trim()))
  })

  app.route({
    method: 'DELETE',
    url: '',
    schema: {
      ...docs,
      summary: 'Delete a project',
      description:
        'Deletes the project and its checklists; this cannot be undone. Allowed only for owners.',
      response: { 204: NoContent, ...refusals(400, 401, 403, 404, 429, 503) }
    },
    onRequest: app.authenticate,
    handler: async ({ user, params }, reply) => {
      await write(user.id, sql => deleteProject(sql, user.id, params.projectId))
      return reply.code(204).send(null)
    }
  })
}

export default routes
