import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { ForeignOrigin } from '../../lib/errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Throws ForeignOrigin when a page of an origin that is not allowed sends the request. Runs before every route that
     * reads or sets the refresh cookie.
     */
    refuseForeignOrigin(request: FastifyRequest): Promise<void>
  }
}

async function csrf(app: FastifyInstance) {
  app.decorate('refuseForeignOrigin', async ({ headers, host }) => {
    const { origin, 'sec-fetch-site': site } = headers
    // A browser sends Sec-Fetch-Site with a GET, but no Origin. A client that sends neither is not a browser.
    const isOurs =
      origin === undefined
        ? site !== 'cross-site' && site !== 'same-site'
        : app.isAllowedOrigin(origin, host)
    if (!isOurs) throw new ForeignOrigin()
  })
}

export default fp(csrf, { name: 'csrf', dependencies: ['origins'] })
