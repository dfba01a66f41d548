import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { ChecklistNotFound } from '../../../lib/errors.ts'
import { ChecklistParams } from '../../../schemas/checklist.ts'
import { refusals } from '../../../schemas/error.ts'
import { Operations, Results } from '../../../schemas/operation.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  app.route({
    method: 'POST',
    url: '/ops',
    schema: {
      tags: ['checklists'],
      summary: 'Change a checklist',
      description:
        'Applies 1–100 operations in order and returns a result for each; the same as `push` on `/live`. Allowed for ' +
        'owners and editors. Concurrent edits are merged, or kept as a conflict when they cannot be merged; none is ' +
        'overwritten. The operations after a rejected operation are still applied.',
      security: [{ bearer: [] }],
      params: ChecklistParams,
      body: Operations,
      response: { 200: Results, ...refusals(400, 401, 403, 404, 413, 415, 429, 503) }
    },
    config: { writeRate: false },
    onRequest: app.authenticate,
    handler: async ({ user, params, body }) => {
      const checklistId = params.checklistId.toLowerCase()
      const done = await app.operations.submit({
        sessionId: user.sessionId,
        actorId: user.id,
        checklistId,
        source: 'http',
        ops: body.ops
      })
      if (done.isHidden) throw new ChecklistNotFound()
      return { results: done.results }
    }
  })
}

export default routes
