import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'

const routes: FastifyPluginAsyncTypebox = async app => {
  const { registry } = app.metrics

  app.route({
    method: 'GET',
    url: '/metrics',
    schema: {
      tags: ['operations'],
      summary: 'Numbers for Prometheus',
      description: 'Of this node: what is delivered, how fast, to how many, and what went wrong.',
      response: {
        200: {
          description: 'the text format of Prometheus',
          content: { 'text/plain': { schema: Type.String() } }
        }
      }
    },
    handler: async (_request, reply) => {
      reply.type(registry.contentType)
      return registry.metrics()
    }
  })
}

export default routes
