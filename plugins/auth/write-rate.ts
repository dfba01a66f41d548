import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { createRateLimiter } from '../../lib/rate-limiter.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * `false` for a write with limits of its own, and for those that end sessions: a flood of writes with a stolen token
     * must not keep its user from ending it.
     */
    writeRate?: false
  }
}

const limits = {
  // No person writes this fast, and an import of some hundred rows is at most delayed.
  rate: 20,
  burst: 300,
  maxWaitMs: 3_000
}

const READS = new Set(['GET', 'HEAD'])

/** Limits how fast a user writes through this node: delays the writes of an access token, and refuses them with TooOften. */
async function writeRate(app: FastifyInstance) {
  if (!app.config.rateLimit) return
  const limiter = createRateLimiter(limits, limits.maxWaitMs)

  // After the access token was verified and before the body is read.
  app.addHook('preParsing', async request => {
    if (isLimited(request)) await limiter.wait(request.user.id, 1)
  })
}

function isLimited({ method, user, routeOptions }: FastifyRequest): boolean {
  return !READS.has(method) && user !== null && routeOptions.config.writeRate !== false
}

export default fp(writeRate, { name: 'write-rate', dependencies: ['config', 'access-tokens'] })
