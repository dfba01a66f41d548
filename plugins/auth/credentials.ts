import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { BadCredentials, WrongPassword } from '../../lib/errors.ts'
import { findTokenOwner } from '../../sql/sessions.ts'
import {
  type Account,
  type Credentials,
  findCredentials,
  replacePasswordHash
} from '../../sql/users.ts'

declare module 'fastify' {
  interface FastifyInstance {
    credentials: {
      /** Whose they are, the email in canonical form. Throws BadCredentials, TooOften, TooBusy. */
      check(request: FastifyRequest, credentials: EmailAndPassword): Promise<Account>
      /** The user of the access token, by their password. Throws WrongPassword, TooOften, TooBusy. */
      confirm(request: FastifyRequest, password: string): Promise<Account>
    }
  }
}

interface EmailAndPassword {
  email: string
  password: string
}

/** Every place where a password is asked for: throttled, audited, and of the cost of the day. */
export default fp(
  async app => {
    const { sql, write, config, passwords, throttle, refreshCookie } = app

    app.decorate('credentials', {
      async check(request, { email, password }) {
        const known = await findCredentials(sql, { email })
        const sessionId = await sessionAt(request, known)
        const guesser = { userId: known?.id, ...(sessionId ? { sessionId } : { email }) }
        const account = await throttle.guess(request, guesser, () =>
          match(request, known, password)
        )
        if (!account) throw new BadCredentials()
        if (passwords.isWeak(account.passwordHash)) {
          const passwordHash = await passwords.hash(password)
          await write(account.id, sql => replacePasswordHash(sql, account, passwordHash))
        }
        return account
      },

      async confirm(request, password) {
        const { id, sessionId } = request.user
        const known = await findCredentials(sql, { id })
        const guesser = { userId: id, sessionId }
        const account = await throttle.guess(request, guesser, () =>
          match(request, known, password)
        )
        if (!account) throw new WrongPassword()
        return account
      }
    })

    /** The session of the request's cookie, if it is one of this account. */
    async function sessionAt(request: FastifyRequest, known: Credentials | undefined) {
      const token = refreshCookie.find(request)
      const owner = token && (await findTokenOwner(sql, token, config))
      if (owner && owner.userId === known?.id) return token.sessionId
    }

    async function match(
      request: FastifyRequest,
      known: Credentials | undefined,
      password: string
    ) {
      const { id: userId, passwordHash } = known ?? {}
      const isRight = await passwords.verify(passwordHash, password)
      if (isRight && known && passwordHash) return { ...known, passwordHash }
      if (passwordHash && !passwords.isReadable(passwordHash)) {
        request.audit('password.unreadable', { userId })
      }
      request.audit('password.wrong', { userId })
    }
  },
  {
    name: 'credentials',
    dependencies: ['pools', 'write', 'passwords', 'throttle', 'refresh-cookie', 'audit']
  }
)
