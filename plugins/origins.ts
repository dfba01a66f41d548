import cors from '@fastify/cors'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** Whether a page of `origin` may talk to the service that it reached as `host`. */
    isAllowedOrigin(origin: string, host: string): boolean
  }
}

const PREFLIGHT_SECONDS = 600

export default fp(
  async app => {
    const { allowedOrigins } = app.config

    app.decorate('isAllowedOrigin', (origin, host) => {
      if (allowedOrigins.includes(origin)) return true
      // TLS may end before us, so which of the two schemes it is says nothing.
      return ['http', 'https'].some(scheme => origin === `${scheme}://${host.toLowerCase()}`)
    })

    await app.register(cors, {
      origin: [...allowedOrigins],
      credentials: true,
      methods: ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE'],
      exposedHeaders: ['retry-after'],
      maxAge: PREFLIGHT_SECONDS
    })
  },
  { name: 'origins', dependencies: ['config'] }
)
