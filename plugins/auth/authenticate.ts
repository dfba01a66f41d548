import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { BadRefresh, BadToken, NoToken } from '../../lib/errors.ts'
import { findTokenOwner } from '../../sql/sessions.ts'

/** The user and session of a stream or socket. */
export interface Identity {
  userId: string
  sessionId: string
  name: string
  /** Milliseconds since 1970. Null when opened with a cookie: then the stream or socket closes with its session. */
  expiresAt: number | null
}

declare module 'fastify' {
  interface FastifyInstance {
    /** The onRequest hook of every route that requires an access token. Sets `request.user`. */
    authenticate(request: FastifyRequest): Promise<void>
    /**
     * The hook of streams and sockets. Sets `request.identity` from an access token or from the refresh
     * cookie. Does not rotate the refresh token.
     */
    authenticateSubscriber(request: FastifyRequest): Promise<void>
  }

  interface FastifyRequest {
    identity: Identity
  }
}

async function authentication(app: FastifyInstance) {
  const { sql, config, users, refreshCookie, verifyAccessToken, refuseForeignOrigin } = app

  app.decorateRequest('identity')
  app.decorate('authenticate', authenticate)
  app.decorate('authenticateSubscriber', async request => {
    const hasOnlyCookie = request.headers.authorization === undefined && request.headers.cookie
    request.identity = await (hasOnlyCookie ? identifyByCookie(request) : identifyByToken(request))
  })

  async function authenticate(request: FastifyRequest) {
    const { authorization } = request.headers
    if (authorization === undefined) throw new NoToken()
    request.user = verifyAccessToken(bearerToken(authorization))
  }

  async function identifyByToken(request: FastifyRequest): Promise<Identity> {
    await authenticate(request)
    const { id: userId, sessionId, expiresAt } = request.user
    const user = await users.find(userId)
    if (!user) throw new BadToken()
    return { userId, name: user.name, sessionId, expiresAt }
  }

  async function identifyByCookie(request: FastifyRequest): Promise<Identity> {
    await refuseForeignOrigin(request)
    const token = refreshCookie.read(request)
    const owner = await findTokenOwner(sql, token, config)
    if (!owner) throw new BadRefresh()
    return { ...owner, sessionId: token.sessionId, expiresAt: null }
  }
}

function bearerToken(authorization: string): string {
  const [, token] = /^Bearer +([\w.~+/-]+=*)$/i.exec(authorization) ?? []
  if (!token) throw new BadToken()
  return token
}

export default fp(authentication, {
  name: 'authenticate',
  dependencies: ['config', 'pools', 'users', 'access-tokens', 'refresh-cookie', 'csrf']
})
