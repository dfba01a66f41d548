import { randomUUID } from 'node:crypto'
import jwt from '@fastify/jwt'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { LRUCache } from 'lru-cache'
import { CLOCK_SKEW_SECONDS } from '../../lib/clock.ts'
import { BadToken, TokenExpired } from '../../lib/errors.ts'
import { createValidator } from '../../lib/validation.ts'
import { AccessClaims } from '../../schemas/auth.ts'

export interface AccessTokenOwner {
  id: string
  sessionId: string
  /** Milliseconds since 1970. */
  expiresAt: number
}

declare module '@fastify/jwt' {
  interface FastifyJWT {
    payload: Omit<AccessClaims, 'iat'>
    user: AccessTokenOwner
  }
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Returns an access token, which expires no later than its session. */
    signAccessToken(session: { id: string; userId: string; expiresAt: Date }): string
    /** Throws BadToken for an invalid token or an ended session, TokenExpired for a token that has only expired. */
    verifyAccessToken(token: string): AccessTokenOwner
  }
}

// An access token has 360 characters, so the tokens need 10 MB at most.
const limits = { tokens: 10_000 }

const isClaims = createValidator(AccessClaims, 'body')

async function accessTokens(app: FastifyInstance) {
  const { keys, endedSessions } = app
  const { accessTokenTtl } = app.config
  const [signing] = keys
  const secrets = new Map<unknown, string>(keys.map(({ kid, access }) => [kid, access]))

  await app.register(jwt, {
    secret: signing.access,
    decode: { complete: true },
    sign: { kid: signing.kid, header: { alg: 'HS256', typ: 'at+jwt' } },
    // `verifyAccessToken` checks the expiry last: a token that is both forged and expired must throw BadToken.
    verify: { algorithms: ['HS256'], checkTyp: 'at+jwt', ignoreExpiration: true }
  })

  app.decorate('signAccessToken', ({ id, userId, expiresAt }) => {
    const exp = Math.floor(Math.min(seconds() + accessTokenTtl, expiresAt.getTime() / 1000))
    const jti = randomUUID()
    return app.jwt.sign({ iss: 'concord', aud: 'concord', sub: userId, sid: id, jti, exp })
  })

  /** The claims of tokens with a valid signature. Times and the session are checked at each request. */
  const verified = new LRUCache<string, AccessClaims>({ max: limits.tokens })

  app.decorate('verifyAccessToken', token => {
    const { sub, sid, iat, exp } = verified.get(token) ?? verifyOnce(token)
    if (iat > seconds() + CLOCK_SKEW_SECONDS || exp > iat + accessTokenTtl) throw new BadToken()
    if (endedSessions.has(sid)) throw new BadToken()
    if (exp <= seconds()) throw new TokenExpired()
    return { id: sub, sessionId: sid, expiresAt: exp * 1000 }
  })

  function verifyOnce(token: string): AccessClaims {
    const found = verify(token)
    if (!isClaims(found)) throw new BadToken()
    verified.set(token, found as AccessClaims)
    return found as AccessClaims
  }

  function verify(token: string): unknown {
    try {
      const decoded = app.jwt.decode<{ header: { kid?: unknown } }>(token)
      const key = secrets.get(decoded?.header.kid)
      // @fastify/jwt keeps the verifier of its own key, and builds one per call for any other.
      if (key === signing.access) return app.jwt.verify(token)
      if (key) return app.jwt.verify(token, { key })
    } catch {
      // The library throws a dozen different errors for a bad token, some of them without a status.
    }
    throw new BadToken()
  }
}

function seconds(): number {
  return Date.now() / 1000
}

export default fp(accessTokens, {
  name: 'access-tokens',
  dependencies: ['config', 'keys', 'ended-sessions']
})
