import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import findMyWay from 'find-my-way'
import { MethodNotAllowed, RouteNotFound } from '../../lib/errors.ts'

/** Refuses requests without a route: 405 and the methods that the path has, or 404 when it has none. */
async function notFound(app: FastifyInstance) {
  // The router of the service has a tree for each method. This one has one for all, so that one look finds them.
  const paths = findMyWay()

  app.addHook('onRoute', ({ method, url }) => {
    if (url === '*') return // preflights of CORS, see plugins/origins.ts
    const known = paths.findRoute('GET', url)
    const methods: Set<string> = known?.store ?? new Set()
    for (const one of [method].flat()) methods.add(one)
    if (!known) paths.on('GET', url, () => {}, methods)
  })

  // Before the body is read: it does not matter, and Fastify refuses some for their media type.
  app.addHook('preParsing', (request, _reply, payload, done) => {
    done(request.is404 ? refusal(request) : null, payload)
  })

  // For plugins that call `reply.callNotFound()`.
  app.setNotFoundHandler(request => {
    throw refusal(request)
  })

  function refusal({ method, url }: FastifyRequest) {
    const [path = ''] = url.split('?', 1)
    const methods: Set<string> | undefined = paths.find('GET', path)?.store
    if (!methods) return new RouteNotFound(method, path)
    const headers = { allow: [...methods].sort().join(', ') }
    return Object.assign(new MethodNotAllowed(method, path), { headers })
  }
}

export default fp(notFound, { name: 'not-found' })
