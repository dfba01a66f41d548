import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { hash, parseOptions, verify } from '@node-rs/argon2'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { TooBusy } from '../../lib/errors.ts'
import { createLimiter } from '../../lib/limiter.ts'
import { shareOfEach } from '../../lib/share.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** `hash` and `verify` run four at a time. They throw TooBusy when 100 calls wait, and after a wait of 10 s. */
    passwords: {
      hash(password: string): Promise<string>
      /** Takes as long without a readable hash as with one, so that the time does not reveal which accounts exist. */
      verify(hash: string | null | undefined, password: string): Promise<boolean>
      /** Returns whether `hash` is a valid hash with an acceptable cost. */
      isReadable(hash: string): boolean
      /** Returns whether a hash was made with a lower cost than new hashes. */
      isWeak(hash: string): boolean
    }
  }
}

// OWASP's minimum for argon2id: 19 MiB, 2 passes, 1 lane.
const cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

// A stored hash with a higher cost is damaged. Verifying it would exhaust the memory of the process.
const maxCost = { memoryCost: 262_144, timeCost: 16, parallelism: 16 }

// Of a node; each worker gets its share. Each hash uses one thread of libuv, which has four.
const limits = { maxRunning: Math.min(availableParallelism(), 4), maxWaiting: 100 }

const maxWaitMs = 10_000

async function passwords(app: FastifyInstance) {
  const share = shareOfEach(limits, app.config.workers)
  const limit = createLimiter({ ...share, maxWaitMs }, () => new TooBusy())
  app.metrics.queue('password_hashes', limit.countWaiting)
  // Not awaited here: it takes 20 ms, in another thread.
  const decoy = hash(randomBytes(32), cost)

  app.decorate('passwords', {
    hash: password => limit(() => hash(normalize(password), cost)),

    verify: (stored, password) =>
      limit(async () => {
        const isUsable = stored != null && isReadable(stored)
        const isRight = await verify(isUsable ? stored : await decoy, normalize(password))
        return isUsable && isRight
      }),

    isReadable,

    isWeak(stored) {
      const { memoryCost, timeCost } = parseOptions(stored)
      return memoryCost < cost.memoryCost || timeCost < cost.timeCost
    }
  })
}

function isReadable(stored: string): boolean {
  try {
    const { memoryCost, timeCost, parallelism } = parseOptions(stored)
    return (
      memoryCost <= maxCost.memoryCost &&
      timeCost <= maxCost.timeCost &&
      parallelism <= maxCost.parallelism
    )
  } catch {
    return false
  }
}

// Keyboards differ: one sends "é" as one code point, another as two. RFC 8265 prescribes NFC for passwords. Unlike
// NFKC, it never maps passwords that look different to the same text.
function normalize(password: string): string {
  return password.normalize('NFC')
}

export default fp(passwords, { name: 'passwords', dependencies: ['config', 'metrics'] })
