import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { RouteNotFound } from '../../lib/errors.ts'
import { isOperatorToken } from '../../lib/operator-token.ts'
import {
  Connections,
  ConnectionsHeaders,
  ConnectionsParams,
  type ProcessConnections
} from '../../schemas/connections.ts'
import { refusals } from '../../schemas/error.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  const { config, keys, pubsub, primary } = app
  primary?.handle('connections', connectionsOf)

  app.route({
    method: 'GET',
    url: '/connections/:userId',
    schema: {
      tags: ['operations'],
      summary: 'List the open streams and sockets of a user on this node',
      description:
        'For `npm run explain`, which computes the token from `JWT_SECRET`. Without a valid token, responds as if this ' +
        'route did not exist.',
      params: ConnectionsParams,
      headers: ConnectionsHeaders,
      response: { 200: Connections, ...refusals(400, 404) }
    },
    handler: async ({ method, url, params: { userId }, headers }) => {
      const token = headers['x-concord-operator'] ?? ''
      if (!isOperatorToken(token, keys, userId)) throw new RouteNotFound(method, url)
      const id = userId.toLowerCase()
      const own = () => ({ processes: [connectionsOf(id)], missing: config.workers - 1 })
      return primary ? primary.call<Connections>('connections', id).catch(own) : own()
    }
  })

  function connectionsOf(userId: string): ProcessConnections {
    const { epoch, deliveredHead } = pubsub
    return {
      pid: process.pid,
      epoch,
      deliveredHead,
      streams: app.streamsOf(userId),
      sockets: app.socketsOf(userId)
    }
  }
}

export default routes
