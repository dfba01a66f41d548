import { randomBytes } from 'node:crypto'
import type { FastifyInstance, InjectOptions } from 'fastify'
import type { Sql } from '../../sql/executor.ts'

export const PASSWORD = 'correct horse battery staple'

export type User = Awaited<ReturnType<typeof createUser>>
export type Session = Awaited<ReturnType<typeof signIn>>
export type SendRequest = Session['request']

let passwordHash: Promise<string> | undefined

/** Inserts a new user and signs the user in through the route. */
export async function createUser(app: FastifyInstance, name = 'Ann') {
  const account = { email: `${randomBytes(6).toString('hex')}@example.com`, password: PASSWORD }
  passwordHash ??= app.passwords.hash(PASSWORD)
  const [user] = await app.sql<[{ id: string }]>`
    insert into users (email, name, password_hash)
    values (${account.email}, ${name}, ${await passwordHash})
    returning id`
  return { id: user.id, name, ...account, ...(await signIn(app, account)) }
}

/** Starts one more session of a user: its access token, refresh cookie, Bearer headers and `request`. */
export async function signIn(app: FastifyInstance, account: { email: string; password: string }) {
  const payload = { email: account.email, password: account.password }
  const response = await app.inject({ method: 'POST', url: '/auth/signin', payload })
  const { accessToken: token } = response.json<{ accessToken: string }>()
  const [cookie = ''] = String(response.headers['set-cookie']).split(';')
  const headers = { authorization: `Bearer ${token}` }
  return { token, cookie, headers, request: requestAs(app, { headers }) }
}

/** Returns a function that sends requests of a user: `request('POST', '/projects', { name })`. */
export function requestAs(app: FastifyInstance, { headers }: { headers: Record<string, string> }) {
  return (method: InjectOptions['method'], url: string, payload?: object) =>
    app.inject({ method, url, headers, payload })
}

/** Returns the id of the session that an access token belongs to. */
export function sessionIdOf(token: string): string {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).sid
}

/** Inserts a user without a password with SQL and returns the id. */
export async function insertUser(sql: Sql, name = 'Ann'): Promise<string> {
  const email = `${randomBytes(6).toString('hex')}@example.com`
  const [user] = await sql<[{ id: string }]>`
    insert into users (email, name)
    values (${email}, ${name})
    returning id`
  return user.id
}
