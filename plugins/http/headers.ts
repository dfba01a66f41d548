import helmet from '@fastify/helmet'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

/** What every answer carries to keep browsers and caches careful. */
async function headers(app: FastifyInstance) {
  await app.register(helmet, {
    contentSecurityPolicy: {
      directives: {
        // Without TLS in front it would make /docs load nothing.
        upgradeInsecureRequests: null
      }
    }
  })

  app.addHook('onRequest', async (request, reply) => {
    if (isPersonal(request.routeOptions.url)) reply.header('cache-control', 'no-store')
  })
}

function isPersonal(route = ''): boolean {
  return /^\/(auth|users)(\/|$)/.test(route)
}

export default fp(headers, { name: 'headers' })
