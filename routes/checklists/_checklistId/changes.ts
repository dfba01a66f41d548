import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Changes, ChangesQuery } from '../../../schemas/change.ts'
import { ChecklistParams } from '../../../schemas/checklist.ts'
import { refusals } from '../../../schemas/error.ts'
import { readChanges } from '../../../sql/changes.ts'

// So that a page of usual changes ends at its limit, and one of large changes does not fill the memory.
const pageBytes = 1 << 20

const routes: FastifyPluginAsyncTypebox = async app => {
  const { sql, catchUpLimit } = app

  app.route({
    method: 'GET',
    url: '/changes',
    schema: {
      tags: ['checklists'],
      summary: 'Read what changed since a revision',
      description:
        'For every member of its project, also of a deleted checklist. 410 `COMPACTED` when `since` ' +
        'is older than what is kept, or no revision of this list (after a restore of the database): ' +
        'read the checklist again. With `item`, the history of one item: who changed what, when and how. ' +
        'A page of large changes ends before `limit`, after about 1 MiB: read on from `to` while it is ' +
        'lower than `head`.',
      security: [{ bearer: [] }],
      params: ChecklistParams,
      querystring: ChangesQuery,
      response: { 200: Changes, ...refusals(400, 401, 403, 404, 410, 503) }
    },
    onRequest: app.authenticate,
    handler: ({ user: { id }, params: { checklistId }, query }) =>
      catchUpLimit(id, () => readChanges(sql, id, checklistId, { ...query, bytes: pageBytes }))
  })
}

export default routes
