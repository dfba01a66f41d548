import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { networkOf } from '../lib/client.ts'
import { TooOften } from '../lib/errors.ts'
import { countOne, secondsUsedUp, type Throttle } from '../sql/throttles.ts'

/** Whose password is guessed, known or not: by a stranger who gives an email, or from a live session. */
export type Guesser = { userId?: string } & ({ email: string } | { sessionId: string })

declare module 'fastify' {
  interface FastifyInstance {
    throttle: {
      /** Throws TooOften when this address has signed up too many already. */
      signUp(request: FastifyRequest): Promise<void>
      /**
       * Runs `attempt`, which answers undefined for a wrong password. Throws TooOften when there
       * were too many wrong ones, whatever the outcome of this.
       */
      guess<T>(
        request: FastifyRequest,
        guesser: Guesser,
        attempt: () => Promise<T | undefined>
      ): Promise<T | undefined>
    }
  }
}

const limits = {
  guessesOfAccount: { allowed: 10, seconds: 15 * 60 },
  guessesFromAddress: { allowed: 100, seconds: 15 * 60 },
  signUpsFromAddress: { allowed: 300, seconds: 60 * 60 }
}

/**
 * Counters that all nodes share. A table of ours, since nodes share nothing but PostgreSQL:
 * @fastify/rate-limit counts requests before their outcome is known, by one key each, and the
 * PostgreSQL store of rate-limiter-flexible wants the driver `pg` and a statement for every key.
 */
export default fp(
  async app => {
    const { sql, config } = app

    app.decorate('throttle', {
      async signUp(request) {
        if (!config.rateLimit) return
        const { allowed, seconds } = limits.signUpsFromAddress
        const key = `sign-up from ${networkOf(request.ip)}`
        refuseAfter(request, await countOne(sql, [{ key, allowed, seconds }]))
      },

      async guess(request, guesser, attempt) {
        if (!config.rateLimit) return attempt()
        const throttles = throttlesOf(request, guesser)
        refuseAfter(request, await secondsUsedUp(sql, throttles), guesser)
        const found = await attempt()
        // Asked again: of any number of guesses made at once, only the allowed ones learn something.
        const ask = found === undefined ? countOne : secondsUsedUp
        refuseAfter(request, await ask(sql, throttles), guesser)
        return found
      }
    })
  },
  { name: 'throttle', dependencies: ['config', 'db', 'audit'] }
)

// Who holds a live session counts for themselves only (OWASP's device cookies): strangers who guess
// at the same account, or behind the same address, cannot lock them out.
function throttlesOf({ ip }: FastifyRequest, guesser: Guesser): Throttle[] {
  const { guessesOfAccount, guessesFromAddress } = limits
  if ('sessionId' in guesser) {
    return [{ key: `guess by session ${guesser.sessionId}`, ...guessesOfAccount }]
  }
  return [
    { key: `guess at ${guesser.email}`, ...guessesOfAccount },
    { key: `guess from ${networkOf(ip)}`, ...guessesFromAddress }
  ]
}

function refuseAfter(
  request: FastifyRequest,
  seconds: number | undefined,
  { userId }: { userId?: string } = {}
): void {
  if (seconds === undefined) return
  request.audit('throttled', { userId })
  throw Object.assign(new TooOften(), { retryAfter: seconds })
}
