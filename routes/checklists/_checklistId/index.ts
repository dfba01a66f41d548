import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Checklist, ChecklistParams } from '../../../schemas/checklist.ts'
import { refusals } from '../../../schemas/error.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  const { catchUp } = app

  app.route({
    method: 'GET',
    url: '',
    schema: {
      tags: ['checklists'],
      summary: 'Get a checklist',
      description:
        'Returns the checklist with all items and open conflicts. Allowed for every member of its project. Returns ' +
        '410 `CHECKLIST_DELETED` when the checklist was deleted. The operation `list.restore` restores it.',
      security: [{ bearer: [] }],
      params: ChecklistParams,
      response: { 200: Checklist, ...refusals(400, 401, 403, 404, 410, 503) }
    },
    onRequest: app.authenticate,
    handler: ({ user: { id }, params: { checklistId } }) => catchUp.readChecklist(id, checklistId)
  })
}

export default routes
