import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { createRateLimiter } from '../../lib/rate-limiter.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * `false` for a write with limits of its own, and for those that end sessions: a flood of writes with a stolen
     * token must not keep its user from ending it.
     */
    pace?: false
  }
}

const limits = {
  // No person writes this fast, and an import of some hundreds of things is at most slowed down.
  pace: { rate: 20, burst: 300 },
  maxWaitMs: 3_000
}

const READS = new Set(['GET', 'HEAD'])

/**
 * Limits how fast a user writes through this node: delays a request that writes with an access token, and refuses
 * it with TooOften when the delay would be too long.
 */
export default fp(
  async app => {
    if (!app.config.rateLimit) return
    const pace = createRateLimiter(limits.pace, limits.maxWaitMs)

    // After the user is known and before the body is read.
    app.addHook('preParsing', async request => {
      if (isPaced(request)) await pace.wait(request.user.id, 1)
    })
  },
  { name: 'write-rate', dependencies: ['config', 'access-tokens'] }
)

function isPaced({ method, user, routeOptions }: FastifyRequest): boolean {
  return !READS.has(method) && user !== null && routeOptions.config.pace !== false
}
