import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { clientNetwork } from '../../lib/client-address.ts'
import { TooOften } from '../../lib/errors.ts'
import { countAttempt, findSecondsToWait, type Throttle } from '../../sql/throttles.ts'

/** Who guesses a password: a session of the account, or else the email, of which there need not be an account. */
export type Guesser = { userId?: string } & ({ email: string } | { sessionId: string })

declare module 'fastify' {
  interface FastifyInstance {
    throttle: {
      /** Counts a sign-up. Throws TooOften when there were too many from this network. */
      signUp(request: FastifyRequest): Promise<void>
      /**
       * Runs `attempt`, which returns undefined for a wrong password, and returns its result. Throws TooOften when there
       * were too many wrong passwords before, also when this one is right.
       */
      guess<T>(
        request: FastifyRequest,
        guesser: Guesser,
        attempt: () => Promise<T | undefined>
      ): Promise<T | undefined>
      /**
       * Runs `find`, which returns undefined for an email without an account, and returns its result. Throws TooOften
       * when this user looked up too many of these before.
       */
      lookUp<T>(request: FastifyRequest, find: () => Promise<T | undefined>): Promise<T | undefined>
    }
  }
}

const QUARTER = 15 * 60
const HOUR = 60 * 60

const limits = {
  guessesInSession: { allowed: 10, seconds: QUARTER },
  // Per account and network: fewer than per account, so that an attacker does not block the user's own network.
  guessesOfPair: { allowed: 10, seconds: QUARTER },
  // Per account: NIST SP 800-63B-4, 3.2.2, allows no more than 100.
  guessesOfAccount: { allowed: 100, seconds: QUARTER },
  guessesFromNetwork: { allowed: 100, seconds: QUARTER },
  signUpsFromNetwork: { allowed: 300, seconds: HOUR },
  missesOfUser: { allowed: 50, seconds: HOUR }
}

/**
 * Limits guesses with counters in a table, which all nodes share. Libraries do not fit: @fastify/rate-limit counts requests
 * before their outcome is known and by one key each, and the PostgreSQL store of rate-limiter-flexible needs the driver `pg`
 * and one statement per key.
 */
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

  /**
   * Counts a result that is undefined, and refuses every result when too many were counted: of guesses sent at the same
   * time, only as many as are allowed learn their result.
   */
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

// Guesses of a live session are counted for that session alone (OWASP's device cookies): guesses of others at the same account
// or from the same network cannot lock its user out.
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
