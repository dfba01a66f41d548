import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { BadCredentials, TooBusy, WrongPassword } from '../../lib/errors.ts'
import { createLimiter } from '../../lib/limiter.ts'
import { shareOf } from '../../lib/share.ts'
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
     * All functions throw TooOften after too many attempts. While 100 calls are running, they throw TooBusy before they
     * query the database: a flood of sign-ins must not use up the connections.
     */
    credentials: {
      /** Returns the account with this canonical email and this password. Throws BadCredentials when there is none. */
      check(request: FastifyRequest, credentials: EmailAndPassword): Promise<Account>
      /** Returns the account of the access token. Throws WrongPassword when the password is wrong. */
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

/** Of a node; each worker gets its share. */
const limits = { maxRunning: 100 }

async function credentials(app: FastifyInstance) {
  const { sql, write, config, passwords, throttle, refreshCookie } = app
  const maxRunning = shareOf(limits.maxRunning, config.workers)
  const limit = createLimiter({ maxRunning, maxWaiting: 0, maxWaitMs: 0 }, () => new TooBusy())

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

  /** Returns the id of the session of the refresh cookie, if the session belongs to this account. */
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
