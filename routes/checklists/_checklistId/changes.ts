import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Changes, ChangesQuery } from '../../../schemas/change.ts'
import { ChecklistParams } from '../../../schemas/checklist.ts'
import { refusals } from '../../../schemas/error.ts'
import { readChanges } from '../../../sql/changes.ts'

// A page of usual changes ends at `limit`, before this size. A page of large changes ends at this size, so that it does
// not fill the memory.
const pageBytes = 1 << 20

const routes: FastifyPluginAsyncTypebox = async app => {
  const { sql, catchUp } = app

  app.route({
    method: 'GET',
    url: '/changes',
    schema: {
      tags: ['checklists'],
      summary: 'List the changes of a checklist after a revision',
      description:
        'Allowed for every member of the project, even when the checklist is deleted. Returns 410 `COMPACTED` when ' +
        'the changes after `since` are not stored any more, or the checklist has no such revision (after a restore ' +
        'of the database): then get the checklist again. With `item`, returns the history of one item. A page of ' +
        'large changes ends after about 1 MiB, before `limit`: while `to` is lower than `head`, request the next ' +
        'page with `since=to`.',
      security: [{ bearer: [] }],
      params: ChecklistParams,
      querystring: ChangesQuery,
      response: { 200: Changes, ...refusals(400, 401, 403, 404, 410, 503) }
    },
    onRequest: app.authenticate,
    handler: ({ user: { id }, params: { checklistId }, query }) =>
      catchUp.run(id, () => readChanges(sql, id, checklistId, { ...query, bytes: pageBytes }))
  })
}

export default routes
