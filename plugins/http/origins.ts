import cors from '@fastify/cors'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** Whether a page of `origin` may talk to the service that it reached as `host`. */
    isAllowedOrigin(origin: string, host: string): boolean
  }
}

const PREFLIGHT_SECONDS = 600

async function origins(app: FastifyInstance) {
  const { allowedOrigins } = app.config

  app.decorate('isAllowedOrigin', (origin, host) => {
    if (allowedOrigins.includes(origin)) return true
    // TLS may end before us, so which of the two schemes it is says nothing.
    return ['http', 'https'].some(scheme => origin === `${scheme}://${host.toLowerCase()}`)
  })

  const options = {
    origin: [...allowedOrigins],
    credentials: true,
    methods: ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE'],
    exposedHeaders: ['retry-after'],
    maxAge: PREFLIGHT_SECONDS
  }
  await app.register(cors, {
    delegator: (request, done) => done(null, { ...options, preflight: isPreflight(request) })
  })
}

/** Whether CORS asks, and not a client that sends OPTIONS: to that it is a method like any other. */
function isPreflight({ headers }: FastifyRequest): boolean {
  return headers.origin !== undefined && headers['access-control-request-method'] !== undefined
}

export default fp(origins, { name: 'origins', dependencies: ['config'] })
