import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import helmet, { type HelmetOptions } from 'helmet'

const options: HelmetOptions = {
  contentSecurityPolicy: {
    directives: {
      // It would make browsers load the files of /docs over HTTPS, which fails without a TLS proxy.
      upgradeInsecureRequests: null
    }
  }
}

/** Sets the security headers of every response, and forbids caches to store responses about accounts. */
async function headers(app: FastifyInstance) {
  const security = recordHeaders()

  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(security)
    if (isPersonal(request.routeOptions.url)) reply.header('cache-control', 'no-store')
    done()
  })
}

/** Returns the headers that helmet sets. They are the same for all responses, so helmet runs once. */
function recordHeaders(): Record<string, string> {
  const recorded: Record<string, string> = {}
  const response: Pick<ServerResponse, 'setHeader' | 'removeHeader'> = {
    setHeader(name, value) {
      recorded[name.toLowerCase()] = String(value)
      return this as ServerResponse
    },
    removeHeader() {}
  }
  helmet(options)({} as IncomingMessage, response as ServerResponse, error => {
    if (error) throw error
  })
  return recorded
}

function isPersonal(route = ''): boolean {
  return /^\/(auth|users)(\/|$)/.test(route)
}

export default fp(headers, { name: 'headers' })
