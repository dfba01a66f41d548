import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { ChecklistSummary, Checklists, NewChecklist } from '../../../schemas/checklist.ts'
import { refusals } from '../../../schemas/error.ts'
import { PageQuery } from '../../../schemas/page.ts'
import { ProjectParams } from '../../../schemas/project.ts'
import { createChecklist, listChecklists } from '../../../sql/checklists.ts'

const docs = { tags: ['checklists'], security: [{ bearer: [] }], params: ProjectParams }

const routes: FastifyPluginAsyncTypebox = async app => {
  const { sql, write } = app

  app.route({
    method: 'POST',
    url: '/checklists',
    schema: {
      ...docs,
      summary: 'Create a checklist',
      description: 'Allowed only for owners and editors.',
      body: NewChecklist,
      response: { 201: ChecklistSummary, ...refusals(400, 401, 403, 404, 413, 415, 429, 503) }
    },
    onRequest: app.authenticate,
    handler: async ({ user, params, body }, reply) => {
      const title = body.title.normalize('NFC').trim()
      const checklist = await write(user.id, sql =>
        createChecklist(sql, user.id, params.projectId, title)
      )
      return reply.code(201).send(checklist)
    }
  })

  app.route({
    method: 'GET',
    url: '/checklists',
    schema: {
      ...docs,
      summary: 'List the checklists of a project',
      description:
        'Allowed for every member. Lists the oldest checklist first, and leaves out deleted ones.',
      querystring: PageQuery,
      response: { 200: Checklists, ...refusals(400, 401, 403, 404, 503) }
    },
    onRequest: app.authenticate,
    handler: ({ user, params, query }) => listChecklists(sql, user.id, params.projectId, query)
  })
}

export default routes
