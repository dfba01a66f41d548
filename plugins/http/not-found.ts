import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import findMyWay from 'find-my-way'
import { MethodNotAllowed, RouteNotFound } from '../../lib/errors.ts'

/** Refuses requests without a route: with 405 and the methods of the path, or with 404 when the path has none. */
async function notFound(app: FastifyInstance) {
  // Fastify's router has a tree per method. This one has one tree for all, so that one lookup finds the methods of a path.
  const paths = findMyWay()

  app.addHook('onRoute', ({ method, url }) => {
    if (url === '*') return // the preflights of CORS
    const known = paths.findRoute('GET', url)
    const methods: Set<string> = known?.store ?? new Set()
    for (const one of [method].flat()) methods.add(one)
    if (!known) paths.on('GET', url, () => {}, methods)
  })

  // Before the body is read, because Fastify would refuse some bodies for their media type first.
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
