import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { clientNetwork } from '../../lib/client-address.ts'
import { TooOften } from '../../lib/errors.ts'
import { countAttempt, findSecondsToWait, type Throttle } from '../../sql/throttles.ts'

/** A guess has a session of the account, or else an email. `userId` is missing when no account has this email. */
export type Guesser = { userId?: string } & ({ email: string } | { sessionId: string })

declare module 'fastify' {
  interface FastifyInstance {
    throttle: {
      /** Counts a sign-up. Throws TooOften after too many sign-ups from this network. */
      signUp(request: FastifyRequest): Promise<void>
      /**
       * Returns the result of `attempt`: undefined for a wrong password. Throws TooOften after too many wrong
       * passwords, even when this password is right.
       */
      guess<T>(
        request: FastifyRequest,
        guesser: Guesser,
        attempt: () => Promise<T | undefined>
      ): Promise<T | undefined>
      /**
       * Returns the result of `find`: undefined for an unknown email. Throws TooOften after too many unknown emails.
       */
      lookUp<T>(request: FastifyRequest, find: () => Promise<T | undefined>): Promise<T | undefined>
    }
  }
}

const QUARTER = 15 * 60
const HOUR = 60 * 60

const limits = {
  guessesInSession: { allowed: 10, seconds: QUARTER },
  // Per account and network. Lower than `guessesOfAccount`, so that an attacker is blocked only in their own network.
  guessesOfPair: { allowed: 10, seconds: QUARTER },
  // Per account. NIST SP 800-63B-4, 3.2.2, allows at most 100.
  guessesOfAccount: { allowed: 100, seconds: QUARTER },
  guessesFromNetwork: { allowed: 100, seconds: QUARTER },
  signUpsFromNetwork: { allowed: 300, seconds: HOUR },
  missesOfUser: { allowed: 50, seconds: HOUR }
}

// The counters are in a table, which all nodes share. @fastify/rate-limit counts a request before its outcome is known.
// The PostgreSQL store of rate-limiter-flexible needs the driver `pg` and one statement per key.
async function throttle(app: FastifyInstance) {
  const { sql, config } = app

  app.decorate('throttle', {
    async signUp(request) {
      if (!config.rateLimit) return
      const { allowed, seconds } = limits.signUpsFromNetwork
      const key = `sign-up from ${clientNetwork(request.ip)}`
      refuseAfter(request, await countAttempt(sql, [{ key, allowed, seconds }]))
    },

    async guess(request, guesser, attempt) {
      if (!config.rateLimit) return attempt()
      const throttles = throttlesOf(request, guesser)
      refuseAfter(request, await findSecondsToWait(sql, throttles), guesser)
      return counted(request, throttles, await attempt(), guesser)
    },

    async lookUp(request, find) {
      if (!config.rateLimit) return find()
      const { id: userId } = request.user
      const throttles = [{ key: `misses of ${userId}`, ...limits.missesOfUser }]
      return counted(request, throttles, await find(), { userId })
    }
  })

  // Throws even after a right guess, so that guesses sent at the same time get only the allowed number of results.
  async function counted<T>(
    request: FastifyRequest,
    throttles: Throttle[],
    outcome: T | undefined,
    about: { userId?: string }
  ): Promise<T | undefined> {
    const count = outcome === undefined ? countAttempt : findSecondsToWait
    refuseAfter(request, await count(sql, throttles), about)
    return outcome
  }
}

// A guess with an active session counts for that session only (OWASP: device cookies): others cannot lock out its user.
function throttlesOf({ ip }: FastifyRequest, guesser: Guesser): Throttle[] {
  if ('sessionId' in guesser) {
    return [{ key: `guess by session ${guesser.sessionId}`, ...limits.guessesInSession }]
  }
  const network = clientNetwork(ip)
  return [
    { key: `guess at ${guesser.email} from ${network}`, ...limits.guessesOfPair },
    { key: `guess at ${guesser.email}`, ...limits.guessesOfAccount },
    { key: `guess from ${network}`, ...limits.guessesFromNetwork }
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

export default fp(throttle, { name: 'throttle', dependencies: ['config', 'pools', 'audit'] })
