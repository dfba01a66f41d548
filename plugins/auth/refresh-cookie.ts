import cookie from '@fastify/cookie'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { cookieValues } from '../../lib/cookies.ts'
import { BadRefresh, NoCookie } from '../../lib/errors.ts'
import { memoize } from '../../lib/memoize.ts'
import {
  decodeRefreshToken,
  encodeRefreshToken,
  type RefreshToken
} from '../../lib/refresh-token.ts'

declare module 'fastify' {
  interface FastifyInstance {
    refreshCookie: {
      /** Returns the refresh token, or undefined unless the request has exactly one that this service signed. */
      find(request: FastifyRequest): RefreshToken | undefined
      /** Like `find`, but throws NoCookie when the request has no token, and BadRefresh when `find` accepts none. */
      read(request: FastifyRequest): RefreshToken
      write(reply: FastifyReply, session: { id: string; counter: number }): void
      clear(reply: FastifyReply): void
    }
  }
}

const NAME = 'refresh'
const attributes = { path: '/', httpOnly: true, secure: true, sameSite: 'strict' } as const

async function refreshCookie(app: FastifyInstance) {
  const { keys } = app
  const { refreshTokenTtl } = app.config

  await app.register(cookie, { hook: false })

  // When a request has two valid tokens, an attacker may have added a token of their own to that of the user. Neither
  // token is accepted then.
  const verify = memoize(({ headers }: FastifyRequest) => {
    const values = new Set(cookieValues(headers.cookie, NAME).filter(value => value !== ''))
    const tokens = [...values].flatMap(value => decodeRefreshToken(value, keys) ?? [])
    return { isMissing: values.size === 0, token: tokens.length === 1 ? tokens[0] : undefined }
  })

  app.decorate('refreshCookie', {
    find: request => verify(request).token,

    read(request) {
      const { isMissing, token } = verify(request)
      if (isMissing) throw new NoCookie()
      if (!token) throw new BadRefresh()
      return token
    },

    write(reply, { id, counter }) {
      const token = encodeRefreshToken({ sessionId: id, counter }, keys[0])
      reply.setCookie(NAME, token, { ...attributes, maxAge: refreshTokenTtl })
    },

    clear(reply) {
      reply.setCookie(NAME, '', { ...attributes, maxAge: 0 })
    }
  })
}

export default fp(refreshCookie, { name: 'refresh-cookie', dependencies: ['config', 'keys'] })
