import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { BadRefresh, BadToken, NoToken } from '../../lib/errors.ts'
import { findSessionOwner, findTokenOwner } from '../../sql/sessions.ts'

/** Who holds a stream open. */
export interface Identity {
  userId: string
  sessionId: string
  name: string
  /** When the stream has to end, milliseconds since 1970; null with a cookie: with its session. */
  expiresAt: number | null
}

declare module 'fastify' {
  interface FastifyInstance {
    /** The onRequest hook of every route with a Bearer token: sets `request.user`. */
    authenticate(request: FastifyRequest): Promise<void>
    /** Who asks for a stream, by Bearer token or by the refresh cookie, which it does not rotate. */
    identify(request: FastifyRequest): Promise<Identity>
  }
}

export default fp(
  async app => {
    const { sql, config } = app

    app.decorate('authenticate', async request => {
      const { authorization } = request.headers
      if (authorization === undefined) throw new NoToken()
      request.user = app.verifyAccessToken(bearerToken(authorization))
    })

    app.decorate('identify', request =>
      request.headers.authorization === undefined && request.headers.cookie
        ? identifyByCookie(request)
        : identifyByToken(request)
    )

    async function identifyByToken(request: FastifyRequest): Promise<Identity> {
      await app.authenticate(request)
      const { sessionId, expiresAt } = request.user
      const owner = await findSessionOwner(sql, sessionId)
      if (!owner) throw new BadToken()
      return { ...owner, sessionId, expiresAt }
    }

    async function identifyByCookie(request: FastifyRequest): Promise<Identity> {
      await app.refuseForeignOrigin(request)
      const token = app.refreshCookie.read(request)
      const owner = await findTokenOwner(sql, token, config)
      if (!owner) throw new BadRefresh()
      return { ...owner, sessionId: token.sessionId, expiresAt: null }
    }
  },
  { name: 'authenticate', dependencies: ['pools', 'access-tokens', 'refresh-cookie', 'csrf'] }
)

function bearerToken(authorization: string): string {
  const [, token] = /^Bearer +([\w.~+/-]+=*)$/i.exec(authorization) ?? []
  if (!token) throw new BadToken()
  return token
}
