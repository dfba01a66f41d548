import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

/** Routes whose responses last as long as their clients stay. */
const endless = new Set(['/events', '/live'])

/** Measures the time of every response, by route: the paths of requests contain ids, and would be too many. */
async function requestTimes(app: FastifyInstance) {
  const { requestSeconds } = app.metrics

  app.addHook('onResponse', (request, reply, done) => {
    const { method, routeOptions } = request
    const route = routeOptions.url ?? 'none'
    const { statusCode: status, elapsedTime } = reply
    if (!endless.has(route)) requestSeconds.observe({ method, route, status }, elapsedTime / 1000)
    done()
  })
}

export default fp(requestTimes, { name: 'request-times', dependencies: ['metrics'] })
