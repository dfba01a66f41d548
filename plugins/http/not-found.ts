import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import findMyWay from 'find-my-way'
import { MethodNotAllowed, RouteNotFound } from '../../lib/errors.ts'

/** Refuses requests that match no route: 405 with the allowed methods if the path has a route, otherwise 404. */
async function notFound(app: FastifyInstance) {
  // Fastify's router has one tree per method. In this one, a single lookup finds all methods of a path.
  const paths = findMyWay()

  app.addHook('onRoute', ({ method, url }) => {
    if (url === '*') return // the route of @fastify/cors for preflights
    const known = paths.findRoute('GET', url)
    const methods: Set<string> = known?.store ?? new Set()
    for (const one of [method].flat()) methods.add(one)
    if (!known) paths.on('GET', url, () => {}, methods)
  })

  // Refuse before the body is read. Otherwise Fastify would refuse some media types with 415 first.
  app.addHook('preParsing', (request, _reply, payload, done) => {
    done(request.is404 ? refusal(request) : null, payload)
  })

  // Called when a plugin calls `reply.callNotFound()`.
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
