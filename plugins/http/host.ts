import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { BadRequest } from '../../lib/errors.ts'

/** Refuses requests with several Host headers: Node uses one, a proxy may have used another (RFC 9112, 3.2). */
async function host(app: FastifyInstance) {
  app.addHook('onRequest', ({ raw }, _reply, done) => {
    let hosts = 0
    // Names and values alternate.
    for (let n = 0; n < raw.rawHeaders.length; n += 2) {
      const name = raw.rawHeaders[n] ?? ''
      if (name.length === 4 && name.toLowerCase() === 'host') hosts++
    }
    if (hosts < 2) done()
    else done(new BadRequest('the request has more than one Host header'))
  })
}

export default fp(host, { name: 'host' })
