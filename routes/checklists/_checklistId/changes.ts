import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Changes, ChangesQuery } from '../../../schemas/change.ts'
import { ChecklistParams } from '../../../schemas/checklist.ts'
import { refusals } from '../../../schemas/error.ts'
import { readChanges } from '../../../sql/changes.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  const { sql } = app

  app.route({
    method: 'GET',
    url: '/changes',
    schema: {
      tags: ['checklists'],
      summary: 'Read what changed since a revision',
      description:
        'For every member of its project, also of a deleted checklist. 410 `COMPACTED` when `since` ' +
        'is older than what is kept, or no revision of this list (after a restore of the database): ' +
        'read the checklist again. With `item`, the history of one item: who changed what, when and how.',
      security: [{ bearer: [] }],
      params: ChecklistParams,
      querystring: ChangesQuery,
      response: { 200: Changes, ...refusals(400, 401, 403, 404, 410, 503) }
    },
    onRequest: app.authenticate,
    handler: ({ user, params, query }) => readChanges(sql, user.id, params.checklistId, query)
  })
}

export default routes
