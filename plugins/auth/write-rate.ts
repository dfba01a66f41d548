import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** `false` turns the limit off: an attacker with a stolen token must not keep the user from ending the session. */
    writeRate?: false
  }
}

const limits = {
  // No person writes this fast. An import of some hundred rows is delayed at most, and not refused.
  rate: 20,
  burst: 300,
  maxWaitMs: 3_000
}

const READS = new Set(['GET', 'HEAD'])

/** Delays the writes of a user through this node. Throws TooOften when the delay would be longer than 3 s. */
async function writeRate(app: FastifyInstance) {
  if (!app.config.rateLimit) return
  const limiter = app.nodeLimits.rateLimiter('writes', limits)

  // This hook runs after the access token was verified and before the body is read.
  app.addHook('preParsing', async request => {
    if (isLimited(request)) await limiter.wait(request.user.id, 1)
  })
}

function isLimited({ method, user, routeOptions }: FastifyRequest): boolean {
  return !READS.has(method) && user !== null && routeOptions.config.writeRate !== false
}

export default fp(writeRate, {
  name: 'write-rate',
  dependencies: ['config', 'node-limits', 'access-tokens']
})
