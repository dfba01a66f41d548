import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { hash, parseOptions, verify } from '@node-rs/argon2'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { TooBusy } from '../../lib/errors.ts'
import { createLimiter } from '../../lib/limiter.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Hashes and verifies passwords, some at a time. Both functions throw TooBusy when too many wait. */
    passwords: {
      hash(password: string): Promise<string>
      /** Takes the same time without a hash, or with one that is unreadable, as with a wrong password. */
      verify(hash: string | null | undefined, password: string): Promise<boolean>
      /** Returns whether a text is a hash, and one whose cost is acceptable. */
      isReadable(hash: string): boolean
      /** Returns whether a hash was made with less than today's cost. */
      isWeak(hash: string): boolean
    }
  }
}

// OWASP's minimum for argon2id: 19 MiB, 2 passes, 1 lane.
const cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

// A hash that demands more is damaged: verifying it would exhaust the memory of the process.
const maxCost = { memoryCost: 262_144, timeCost: 16, parallelism: 16 }

// libuv has four threads.
const limits = {
  maxRunning: Math.min(availableParallelism(), 4),
  maxWaiting: 100,
  maxWaitMs: 10_000
}

async function passwords(app: FastifyInstance) {
  const limit = createLimiter(limits, () => new TooBusy())
  // Compared with the password where there is no account: the comparison must take the same time.
  const decoy = await hash(randomBytes(32), cost)

  app.decorate('passwords', {
    hash: password => limit(() => hash(normalize(password), cost)),

    verify: (stored, password) =>
      limit(async () => {
        const isUsable = stored != null && isReadable(stored)
        const isRight = await verify(isUsable ? stored : decoy, normalize(password))
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

// One keyboard sends "é" as one code point, another as two. NFC, as in RFC 8265: unlike NFKC it never maps passwords that
// look different to the same text.
function normalize(password: string): string {
  return password.normalize('NFC')
}

export default fp(passwords, { name: 'passwords' })
