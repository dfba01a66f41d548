import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { BadCredentials, TooBusy, WrongPassword } from '../../lib/errors.ts'
import { createLimiter } from '../../lib/limiter.ts'
import { findTokenOwner } from '../../sql/sessions.ts'
import {
  type Account,
  type Credentials,
  findCredentials,
  replacePasswordHash
} from '../../sql/users.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Every use of a password: throttled and audited. All functions throw TooOften, and TooBusy before they query the
     * database when 100 of them run: a flood of sign-ins must not use up the connections.
     */
    credentials: {
      /** Returns the account of an email, in canonical form, and its password. Throws BadCredentials. */
      check(request: FastifyRequest, credentials: EmailAndPassword): Promise<Account>
      /** Returns the account of the access token if the password is right. Throws WrongPassword. */
      confirm(request: FastifyRequest, password: string): Promise<Account>
      /** Returns the hash of the password of a new account. */
      create(request: FastifyRequest, password: string): Promise<string>
    }
  }
}

interface EmailAndPassword {
  email: string
  password: string
}

const limits = { maxRunning: 100, maxWaiting: 0, maxWaitMs: 0 }

async function credentials(app: FastifyInstance) {
  const { sql, write, config, passwords, throttle, refreshCookie } = app
  const limit = createLimiter(limits, () => new TooBusy())

  app.decorate('credentials', {
    check: (request, { email, password }) =>
      limit(async () => {
        const known = await findCredentials(sql, { email })
        const sessionId = await findSession(request, known)
        const guesser = { userId: known?.id, ...(sessionId ? { sessionId } : { email }) }
        const account = await throttle.guess(request, guesser, () =>
          verify(request, known, password)
        )
        if (!account) throw new BadCredentials()
        if (passwords.isWeak(account.passwordHash)) {
          const passwordHash = await passwords.hash(password)
          await write(account.id, sql => replacePasswordHash(sql, account, passwordHash))
        }
        return account
      }),

    confirm: (request, password) =>
      limit(async () => {
        const { id, sessionId } = request.user
        const known = await findCredentials(sql, { id })
        const guesser = { userId: id, sessionId }
        const account = await throttle.guess(request, guesser, () =>
          verify(request, known, password)
        )
        if (!account) throw new WrongPassword()
        return account
      }),

    create: (request, password) =>
      limit(async () => {
        await throttle.signUp(request)
        return passwords.hash(password)
      })
  })

  /** Returns the session of the request's cookie, if it is one of this account. */
  async function findSession(request: FastifyRequest, known: Credentials | undefined) {
    const token = refreshCookie.find(request)
    const owner = token && (await findTokenOwner(sql, token, config))
    if (owner && owner.userId === known?.id) return token.sessionId
  }

  async function verify(request: FastifyRequest, known: Credentials | undefined, password: string) {
    const { id: userId, passwordHash } = known ?? {}
    const isRight = await passwords.verify(passwordHash, password)
    if (isRight && known && passwordHash) return { ...known, passwordHash }
    if (passwordHash && !passwords.isReadable(passwordHash)) {
      request.audit('password.unreadable', { userId })
    }
    request.audit('password.wrong', { userId })
  }
}

export default fp(credentials, {
  name: 'credentials',
  dependencies: ['config', 'pools', 'write', 'passwords', 'throttle', 'refresh-cookie', 'audit']
})
