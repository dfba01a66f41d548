import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { BadRequest } from '../../lib/errors.ts'

/** Refuses requests with two Host headers, which Node accepts: a proxy may have used the other one (RFC 9112, 3.2). */
async function host(app: FastifyInstance) {
  app.addHook('onRequest', async ({ raw }) => {
    const names = raw.rawHeaders.filter((_, n) => n % 2 === 0)
    if (names.filter(name => name.toLowerCase() === 'host').length > 1) {
      throw new BadRequest('the header Host came more than once')
    }
  })
}

export default fp(host, { name: 'host' })
