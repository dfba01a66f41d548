import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'

const routes: FastifyPluginAsyncTypebox = async app => {
  const { primary } = app
  const { registry } = app.metrics

  app.route({
    method: 'GET',
    url: '/metrics',
    schema: {
      tags: ['operations'],
      summary: 'Get the metrics for Prometheus',
      description:
        'Metrics of this node, of all its workers together: deliveries, their latency, connected clients, errors.',
      response: {
        200: {
          description: 'Prometheus text format',
          content: { 'text/plain': { schema: Type.String() } }
        }
      }
    },
    handler: async (_request, reply) => {
      reply.type(registry.contentType)
      return primary ? primary.call<string>('metrics') : registry.metrics()
    }
  })
}

export default routes
