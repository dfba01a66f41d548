import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { ProcessChannel } from '../../lib/channel.ts'
import { createQuota } from '../../lib/quota.ts'
import { createRateLimiter, type RateLimiter } from '../../lib/rate-limiter.ts'
import { createTokenBuckets } from '../../lib/token-bucket.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Limits of a user on this node. They count in the primary, if there is one, for all workers together. */
    nodeLimits: {
      /** Lets each user send `burst` requests at once, then delays them to `rate` per second. */
      rateLimiter(name: string, limits: RateLimits): RateLimiter
      /** Counts the open connections of each user. */
      quota(name: string, max: number): Quota
    }
  }
}

interface RateLimits {
  rate: number
  burst: number
  maxWaitMs: number
}

interface Quota {
  /** Counts one more connection and returns true, or returns false when the user has `max`. */
  tryTake(userId: string): Promise<boolean>
  isUsedUp(userId: string): Promise<boolean>
  /** Counts one more connection. Does not check the maximum. */
  take(userId: string): void
  release(userId: string): void
}

async function nodeLimits(app: FastifyInstance) {
  const { primary } = app

  app.decorate('nodeLimits', {
    rateLimiter(name, { rate, burst, maxWaitMs }) {
      const bucket = { rate, burst }
      const buckets = primary ? bucketsOf(primary, name, bucket) : createTokenBuckets(bucket)
      return createRateLimiter(buckets, maxWaitMs)
    },

    quota(name, max) {
      const isLimited = Number.isFinite(max)
      return primary && isLimited ? quotaOf(primary, name, max) : ownQuota(max)
    }
  })
}

function ownQuota(max: number): Quota {
  const { isUsedUp, take, release } = createQuota(max)
  return {
    async tryTake(userId) {
      if (isUsedUp(userId)) return false
      take(userId)
      return true
    },
    isUsedUp: async userId => isUsedUp(userId),
    take,
    release
  }
}

function quotaOf(primary: ProcessChannel, name: string, max: number): Quota {
  return {
    tryTake: userId => primary.call('quota.tryTake', name, userId, max),
    isUsedUp: userId => primary.call('quota.isUsedUp', name, userId, max),
    take: userId => primary.notify('quota.take', name, userId),
    release: userId => primary.notify('quota.release', name, userId)
  }
}

function bucketsOf(primary: ProcessChannel, name: string, bucket: { rate: number; burst: number }) {
  return {
    take: (userId: string, count: number, maxWaitMs: number) =>
      primary.call<number>('rate.take', name, bucket, userId, count, maxWaitMs),
    charge: (userId: string, count: number) =>
      primary.notify('rate.charge', name, bucket, userId, count)
  }
}

export default fp(nodeLimits, { name: 'node-limits', dependencies: ['config'] })
