import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { refusals } from '../../schemas/error.ts'
import { PageQuery } from '../../schemas/page.ts'
import { Project, ProjectBody, Projects } from '../../schemas/project.ts'
import { createProject, listProjects } from '../../sql/projects.ts'

const docs = { tags: ['projects'], security: [{ bearer: [] }] }

const routes: FastifyPluginAsyncTypebox = async app => {
  const { sql, write } = app

  app.route({
    method: 'POST',
    url: '',
    schema: {
      ...docs,
      summary: 'Create a project',
      description: 'Whoever creates it is its first owner.',
      body: ProjectBody,
      response: { 201: Project, ...refusals(400, 401, 403, 413, 415, 429, 503) }
    },
    onRequest: app.authenticate,
    handler: async ({ user, body }, reply) => {
      const project = await write(user.id, sql => createProject(sql, user.id, body.name.trim()))
      return reply.code(201).send(project)
    }
  })

  app.route({
    method: 'GET',
    url: '',
    schema: {
      ...docs,
      summary: 'List my projects',
      description: 'All projects that I am a member of, the oldest first.',
      querystring: PageQuery,
      response: { 200: Projects, ...refusals(400, 401, 403, 503) }
    },
    onRequest: app.authenticate,
    handler: ({ user, query }) => listProjects(sql, user.id, query)
  })
}

export default routes
