import { randomUUID } from 'node:crypto'
import jwt from '@fastify/jwt'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import fp from 'fastify-plugin'
import { CLOCK_SKEW_SECONDS } from '../../lib/clock.ts'
import { BadToken, TokenExpired } from '../../lib/errors.ts'
import { keyRing } from '../../lib/keys.ts'
import { AccessClaims } from '../../schemas/auth.ts'

/** Whose an access token is. */
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
    signAccessToken(session: { id: string; userId: string; expiresAt: Date }): string
    /** Throws BadToken for everything that is wrong, TokenExpired when age is all that is. */
    verifyAccessToken(token: string): AccessTokenOwner
  }
}

const claims = TypeCompiler.Compile(AccessClaims)

export default fp(
  async app => {
    const { jwtSecrets, accessTokenTtl } = app.config
    const ring = keyRing(jwtSecrets)
    const [signing] = ring
    const secrets = new Map<unknown, string>(ring.map(({ kid, access }) => [kid, access]))

    await app.register(jwt, {
      secret: signing.access,
      decode: { complete: true },
      sign: { kid: signing.kid, header: { alg: 'HS256', typ: 'at+jwt' } },
      // Age is looked at last: an old token that is also wrong is a wrong one.
      verify: { algorithms: ['HS256'], checkTyp: 'at+jwt', ignoreExpiration: true }
    })

    app.decorate('signAccessToken', ({ id, userId, expiresAt }) => {
      const exp = Math.floor(Math.min(seconds() + accessTokenTtl, expiresAt.getTime() / 1000))
      const jti = randomUUID()
      return app.jwt.sign({ iss: 'concord', aud: 'concord', sub: userId, sid: id, jti, exp })
    })

    app.decorate('verifyAccessToken', token => {
      const verified = verify(token)
      if (!claims.Check(verified)) throw new BadToken()
      const { sub, sid, iat, exp } = verified
      if (iat > seconds() + CLOCK_SKEW_SECONDS || exp > iat + accessTokenTtl) throw new BadToken()
      if (app.endedSessions.has(sid)) throw new BadToken()
      if (exp <= seconds()) throw new TokenExpired()
      return { id: sub, sessionId: sid, expiresAt: exp * 1000 }
    })

    function verify(token: string): unknown {
      try {
        const decoded = app.jwt.decode<{ header: { kid?: unknown } }>(token)
        const key = secrets.get(decoded?.header.kid)
        if (key) return app.jwt.verify(token, { key })
      } catch {
        // The library has a dozen errors for a bad token, some of them without a status.
      }
      throw new BadToken()
    }
  },
  { name: 'access-tokens', dependencies: ['config', 'ended-sessions'] }
)

function seconds(): number {
  return Date.now() / 1000
}
