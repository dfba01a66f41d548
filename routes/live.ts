import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { UpgradeRequired } from '../lib/errors.ts'
import { refusals } from '../schemas/error.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  app.route({
    method: 'GET',
    url: '/live',
    exposeHeadRoute: false,
    schema: {
      tags: ['live'],
      summary: 'Edit checklists live, over a WebSocket',
      description:
        'Opens a WebSocket for JSON messages: subscribe to checklists, push operations, and receive all changes in ' +
        'order. `/docs/asyncapi.json` describes the messages. Authenticate with a Bearer token or the refresh ' +
        'cookie. Returns 400 `BAD_HANDSHAKE` when the handshake does not follow RFC 6455.',
      security: [{ bearer: [] }, { cookie: [] }],
      response: { ...refusals(400, 401, 403, 426, 429, 503) }
    },
    onRequest: [app.refuseForeignOrigin, app.authenticateSubscriber, app.refuseTooManySockets],
    handler: async () => {
      // RFC 9110, 15.5.22, requires the header Upgrade.
      throw Object.assign(new UpgradeRequired(), {
        headers: { connection: 'close, upgrade', upgrade: 'websocket' }
      })
    },
    wsHandler: app.openSocket
  })
}

export default routes
