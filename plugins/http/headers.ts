import helmet from '@fastify/helmet'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

/** Sets the security headers of every response. Prevents caches from storing responses about accounts. */
async function headers(app: FastifyInstance) {
  await app.register(helmet, {
    contentSecurityPolicy: {
      directives: {
        // This directive would make browsers load the files of /docs over HTTPS, which fails without a TLS proxy.
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
