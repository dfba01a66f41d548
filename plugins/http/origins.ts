import cors from '@fastify/cors'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** Returns whether a page of `origin` may send a request to this service when the host of the request is `host`. */
    isAllowedOrigin(origin: string, host: string): boolean
  }
}

const PREFLIGHT_SECONDS = 600

async function origins(app: FastifyInstance) {
  const { allowedOrigins } = app.config

  app.decorate('isAllowedOrigin', (origin, host) => {
    if (allowedOrigins.includes(origin)) return true
    // Accept both schemes, because a proxy may terminate TLS.
    return ['http', 'https'].some(scheme => origin === `${scheme}://${host.toLowerCase()}`)
  })

  const options = {
    origin: [...allowedOrigins],
    credentials: true,
    methods: ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE'],
    exposedHeaders: ['retry-after'],
    maxAge: PREFLIGHT_SECONDS
  }
  const [forPreflights, forOthers] = [true, false].map(preflight => ({ ...options, preflight }))
  await app.register(cors, {
    delegator: (request, done) => done(null, isPreflight(request) ? forPreflights : forOthers)
  })
}

/** Returns whether a request is a CORS preflight. No route accepts any other OPTIONS request. */
function isPreflight({ headers }: FastifyRequest): boolean {
  return headers.origin !== undefined && headers['access-control-request-method'] !== undefined
}

export default fp(origins, { name: 'origins', dependencies: ['config'] })
