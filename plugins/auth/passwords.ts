import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { hash, parseOptions, verify } from '@node-rs/argon2'
import fp from 'fastify-plugin'
import { TooBusy } from '../../lib/errors.ts'
import { createLimiter } from '../../lib/limiter.ts'

declare module 'fastify' {
  interface FastifyInstance {
    passwords: {
      /**
       * Runs a job that hashes a password. Throws TooBusy when too many are under way, before this
       * one has asked the database anything: a flood of sign-ins must not queue there, either.
       */
      admit<T>(job: () => Promise<T>): Promise<T>
      hash(password: string): Promise<string>
      /** Takes as long without a hash, or with one that is unreadable, as with a wrong password. */
      verify(hash: string | null | undefined, password: string): Promise<boolean>
      /** Is it a hash at all, and one that can be afforded? */
      isReadable(hash: string): boolean
      /** Was the hash made with less effort than we ask for today? */
      isWeak(hash: string): boolean
    }
  }
}

// OWASP's minimum for argon2id: 19 MiB, 2 passes, 1 lane.
const effort = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

// libuv has four threads.
const limits = { hashing: Math.min(availableParallelism(), 4), admitted: 100, maxWaitMs: 10_000 }

// A hash that asks for more is damaged: computing it would take the process down with it.
const most = { memoryCost: 262_144, timeCost: 16, parallelism: 16 }

export default fp(
  async app => {
    const refuse = () => new TooBusy()
    const { hashing, admitted, maxWaitMs } = limits
    const admit = createLimiter({ maxRunning: admitted, maxWaiting: 0, maxWaitMs }, refuse)
    const inTurn = createLimiter({ maxRunning: hashing, maxWaiting: admitted, maxWaitMs }, refuse)
    // What a password is compared with where there is no account, of the very same cost.
    const nobody = await hash(randomBytes(32), effort)

    app.decorate('passwords', {
      admit: job => admit(job),

      hash: password => inTurn(() => hash(normal(password), effort)),

      verify: (stored, password) =>
        inTurn(async () => {
          const isGood = stored != null && isReadable(stored)
          const isRight = await verify(isGood ? stored : nobody, normal(password))
          return isGood && isRight
        }),

      isReadable,

      isWeak(stored) {
        const { memoryCost, timeCost } = parseOptions(stored)
        return memoryCost < effort.memoryCost || timeCost < effort.timeCost
      }
    })
  },
  { name: 'passwords' }
)

function isReadable(stored: string): boolean {
  try {
    const { memoryCost, timeCost, parallelism } = parseOptions(stored)
    return (
      memoryCost <= most.memoryCost && timeCost <= most.timeCost && parallelism <= most.parallelism
    )
  } catch {
    return false
  }
}

// One keyboard composes "é", another sends two code points. NFC, as RFC 8265 has it: unlike NFKC it
// makes no two passwords one that look different.
function normal(password: string): string {
  return password.normalize('NFC')
}
