import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Checklist, ChecklistParams } from '../../../schemas/checklist.ts'
import { refusals } from '../../../schemas/error.ts'
import { readChecklist } from '../../../sql/checklists.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  const { sql, catchUpLimit } = app

  app.route({
    method: 'GET',
    url: '',
    schema: {
      tags: ['checklists'],
      summary: 'Read a checklist',
      description:
        'The whole list as it is at one moment, for every member of its project. 410 ' +
        '`CHECKLIST_DELETED` when it was deleted: the operation `list.restore` brings it back.',
      security: [{ bearer: [] }],
      params: ChecklistParams,
      response: { 200: Checklist, ...refusals(400, 401, 403, 404, 410, 503) }
    },
    onRequest: app.authenticate,
    handler: ({ user: { id }, params: { checklistId } }) =>
      catchUpLimit(id, () => readChecklist(sql, id, checklistId))
  })
}

export default routes
