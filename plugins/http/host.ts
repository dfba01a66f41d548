import fp from 'fastify-plugin'
import { BadRequest } from '../../lib/errors.ts'

/** Refuses what Node lets pass: a second Host, of which a proxy may have believed the other. RFC 9112, 3.2. */
export default fp(
  async app => {
    app.addHook('onRequest', async ({ raw }) => {
      const names = raw.rawHeaders.filter((_, n) => n % 2 === 0)
      if (names.filter(name => name.toLowerCase() === 'host').length > 1) {
        throw new BadRequest('the header Host came more than once')
      }
    })
  },
  { name: 'host' }
)
