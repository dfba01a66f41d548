import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { clientNetwork } from '../../lib/client-address.ts'
import { TooOften } from '../../lib/errors.ts'
import { countAttempt, findSecondsToWait, type Throttle } from '../../sql/throttles.ts'

/**
 * The source of a password guess. `sessionId` is a session of the account; without such a session, `email` is the email
 * of the guess. `userId` is missing when no account has this email.
 */
export type Guesser = { userId?: string } & ({ email: string } | { sessionId: string })

declare module 'fastify' {
  interface FastifyInstance {
    throttle: {
      /** Counts a sign-up. Throws TooOften after too many sign-ups from this network. */
      signUp(request: FastifyRequest): Promise<void>
      /**
       * Runs `attempt` and returns its result: undefined for a wrong password. Throws TooOften after too many wrong
       * passwords, even when this password is right.
       */
      guess<T>(
        request: FastifyRequest,
        guesser: Guesser,
        attempt: () => Promise<T | undefined>
      ): Promise<T | undefined>
      /**
       * Runs `find` and returns its result: undefined for an email without an account. Throws TooOften after this user
       * has looked up too many emails without an account.
       */
      lookUp<T>(request: FastifyRequest, find: () => Promise<T | undefined>): Promise<T | undefined>
    }
  }
}

const QUARTER = 15 * 60
const HOUR = 60 * 60

const limits = {
  guessesInSession: { allowed: 10, seconds: QUARTER },
  // Per account and network. Lower than the limit per account, so that an attacker is blocked only in their own
  // network.
  guessesOfPair: { allowed: 10, seconds: QUARTER },
  // Per account. NIST SP 800-63B-4, 3.2.2, allows at most 100.
  guessesOfAccount: { allowed: 100, seconds: QUARTER },
  guessesFromNetwork: { allowed: 100, seconds: QUARTER },
  signUpsFromNetwork: { allowed: 300, seconds: HOUR },
  missesOfUser: { allowed: 50, seconds: HOUR }
}

/**
 * Limits guesses with counters in a table, which all nodes share. Two libraries do not fit. @fastify/rate-limit counts
 * a request before its outcome is known, and by one key only. The PostgreSQL store of rate-limiter-flexible needs the
 * driver `pg` and runs one statement per key.
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
   * Counts `outcome` if it is undefined. Throws TooOften instead of returning `outcome` when too many were counted. So
   * only the allowed number of guesses get a result, even when more are sent at the same time.
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

// A guess with an active session counts for that session only (OWASP: device cookies). So guesses of others, at the
// same account or from the same network, cannot lock out the user of the session.
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
