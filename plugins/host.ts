import fp from 'fastify-plugin'
import { BadRequest } from '../lib/errors.ts'

/** Refuses what Node lets pass: a second Host, of which a proxy may have believed the other. RFC 9112, 3.2. */
export default fp(
  async app => {
    app.addHook('onRequest', async ({ raw }) => {
      if ((raw.headersDistinct.host?.length ?? 0) > 1) {
        throw new BadRequest('the header Host came more than once')
      }
    })
  },
  { name: 'host' }
)
