import cookie from '@fastify/cookie'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { cookieValues } from '../../lib/cookies.ts'
import { BadRefresh, NoCookie } from '../../lib/errors.ts'
import { keyRing } from '../../lib/keys.ts'
import {
  decodeRefreshToken,
  encodeRefreshToken,
  type RefreshToken
} from '../../lib/refresh-token.ts'

declare module 'fastify' {
  interface FastifyInstance {
    refreshCookie: {
      /** The token, if the request brings exactly one that we made. */
      find(request: FastifyRequest): RefreshToken | undefined
      /** The same, but throws NoCookie or BadRefresh. */
      read(request: FastifyRequest): RefreshToken
      write(reply: FastifyReply, session: { id: string; counter: number }): void
      clear(reply: FastifyReply): void
    }
  }
}

const NAME = 'refresh'
const attributes = { path: '/', httpOnly: true, secure: true, sameSite: 'strict' } as const

export default fp(
  async app => {
    const { jwtSecrets, refreshTokenTtl } = app.config
    const ring = keyRing(jwtSecrets)

    await app.register(cookie, { hook: false })

    app.decorate('refreshCookie', {
      find: request => onlyToken(values(request)),

      read(request) {
        const sent = values(request)
        if (sent.size === 0) throw new NoCookie()
        const token = onlyToken(sent)
        if (!token) throw new BadRefresh()
        return token
      },

      write(reply, { id, counter }) {
        const token = encodeRefreshToken({ sessionId: id, counter }, ring[0])
        reply.setCookie(NAME, token, { ...attributes, maxAge: refreshTokenTtl })
      },

      clear(reply) {
        reply.setCookie(NAME, '', { ...attributes, maxAge: 0 })
      }
    })

    // Two good tokens: somebody has planted one of theirs beside the user's. Neither is to be used.
    function onlyToken(sent: Set<string>): RefreshToken | undefined {
      const tokens = [...sent].flatMap(value => decodeRefreshToken(value, ring) ?? [])
      return tokens.length === 1 ? tokens[0] : undefined
    }
  },
  { name: 'refresh-cookie', dependencies: ['config'] }
)

function values({ headers }: FastifyRequest): Set<string> {
  return new Set(cookieValues(headers.cookie, NAME).filter(value => value !== ''))
}
