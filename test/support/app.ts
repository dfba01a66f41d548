import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import postgres from 'postgres'
import type { Test } from 'tap'
import { build as buildApp } from '../../app.ts'
import { TEMPLATE, urlFile } from './cluster.ts'

const limits = { untilMs: 10_000, pollMs: 20 }

/** A ready application on a database of its own; `env` adds to the environment or overrides it. */
export async function build(t: Test, env: NodeJS.ProcessEnv = {}): Promise<FastifyInstance> {
  const app = buildApp({
    env: {
      DATABASE_URL: env.DATABASE_URL ?? (await database(t)),
      JWT_SECRET: 'a-secret-of-the-tests-and-long-enough',
      LOG_LEVEL: 'silent',
      RATE_LIMIT: 'off',
      ...env
    }
  })
  t.teardown(() => app.close())
  await app.ready()
  return app
}

/** Listens on a free port and answers the address, such as `http://127.0.0.1:41234`. */
export function listen(_t: Test, app: FastifyInstance): Promise<string> {
  return app.listen({ host: '127.0.0.1', port: 0 })
}

/** The URL of a migrated database, empty or a copy of another that nobody uses; dropped when the test ends. */
export async function database(t: Test, of?: string): Promise<string> {
  const url = new URL(clusterUrl())
  const name = `test_${randomBytes(6).toString('hex')}`
  const template = of ? new URL(of).pathname.slice(1) : TEMPLATE
  await admin(sql => sql`create database ${sql(name)} template ${sql(template)}`)
  t.teardown(() => admin(sql => sql`drop database ${sql(name)} with (force)`))
  url.pathname = name
  return url.href
}

/**
 * Waits until `condition` answers something true, and answers that. A condition that throws counts
 * as not yet; the last reason is shown when the time is over.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  timeoutMs = limits.untilMs
): Promise<NonNullable<T>> {
  const deadline = Date.now() + timeoutMs
  let reason: unknown
  while (Date.now() < deadline) {
    try {
      const value = await condition()
      if (value) return value
    } catch (error) {
      reason = error
    }
    await sleep(limits.pollMs)
  }
  throw new Error(`not within ${timeoutMs} ms: ${condition}`, { cause: reason })
}

async function admin(query: (sql: postgres.Sql) => Promise<unknown>) {
  const sql = postgres(clusterUrl(), { max: 1, onnotice: () => {} })
  await query(sql)
  await sql.end()
}

function clusterUrl(): string {
  try {
    return readFileSync(urlFile, 'utf8')
  } catch {
    throw new Error('tests share a database that tap starts: npx tap test/that.test.ts')
  }
}

export const PASSWORD = 'correct horse battery staple'

/** Somebody who has signed up and in through the real routes. */
export async function person(app: FastifyInstance, name = 'Ann') {
  const email = `${randomBytes(6).toString('hex')}@example.com`
  const account = { email, password: PASSWORD }
  const signUp = await app.inject({
    method: 'POST',
    url: '/auth/signup',
    payload: { ...account, name }
  })
  return { id: signUp.json<{ id: string }>().id, email, name, ...(await signIn(app, account)) }
}

/** One more session: its access token, its refresh cookie, and the headers of a Bearer request. */
export async function signIn(app: FastifyInstance, account: { email: string; password?: string }) {
  const { email, password = PASSWORD } = account
  const payload = { email, password }
  const reply = await app.inject({ method: 'POST', url: '/auth/signin', payload })
  const { accessToken: token } = reply.json<{ accessToken: string }>()
  const [cookie = ''] = String(reply.headers['set-cookie']).split(';')
  return { token, cookie, headers: { authorization: `Bearer ${token}` } }
}
