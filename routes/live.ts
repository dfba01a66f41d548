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
      summary: 'Edit checklists together',
      description:
        'A WebSocket of JSON messages: follow checklists, push operations, hear every change in order. The messages ' +
        'are described in `/docs/asyncapi.json`. With a Bearer token, or with the refresh cookie of a browser. 400 ' +
        '`BAD_HANDSHAKE` when the handshake is none of RFC 6455.',
      security: [{ bearer: [] }, { cookie: [] }],
      response: { ...refusals(400, 401, 403, 426, 429, 503) }
    },
    onRequest: [app.refuseForeignOrigin, app.authenticateSubscriber, app.refuseTooManySockets],
    handler: async () => {
      // RFC 9110, 15.5.22
      throw Object.assign(new UpgradeRequired(), {
        headers: { connection: 'close, upgrade', upgrade: 'websocket' }
      })
    },
    wsHandler: (socket, { identity, raw }) => app.openSocket(socket, raw.socket, identity)
  })
}

export default routes
