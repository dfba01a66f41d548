import { randomUUID } from 'node:crypto'
import t from 'tap'
import { startNode } from '../support/app.ts'
import { createDatabase } from '../support/database.ts'
import { httpClient } from '../support/http-client.ts'
import { spawnService, waitForStart } from '../support/process.ts'
import { openFeed } from '../support/sse-client.ts'
import { until } from '../support/until.ts'
import { sessionIdOf } from '../support/users.ts'

const JWT_SECRET = 'a secret that only this file knows about'
const NEXT = 'a horse of another colour'

const DATABASE_URL = await createDatabase(t)
// The service is a process of its own that logs at level trace; the app of this process only queries the database.
const service = spawnService(t, { DATABASE_URL, JWT_SECRET, LOG_LEVEL: 'trace' })
const { address: url } = await waitForStart(service)
const { app } = await startNode(t, { DATABASE_URL, JWT_SECRET })
const call = httpClient(t, url)

/** The values that must not be stored anywhere: correct and wrong passwords, and tokens. */
const secrets = new Set<string>([JWT_SECRET, NEXT])
const keep = <T extends { token?: string; cookie?: string; password?: string }>(holder: T): T => {
  for (const secret of [holder.token, holder.cookie?.slice('refresh='.length), holder.password]) {
    if (secret) secrets.add(secret)
  }
  return holder
}

t.test('no account action leaves a secret in the log or database', async t => {
  const ann = keep(await signUp('the password of the account'))
  const { email, password, token } = ann
  const signIn = (wrong: string, email: string) => {
    secrets.add(wrong)
    return call('POST', '/auth/signin', { body: { email, password: wrong } })
  }
  await call('POST', '/auth/signup', { body: { email, password, name: 'Eve' } })
  await signIn('a password with a typo', email)
  await signIn('a password without account', 'nobody@example.com')
  await signIn('a password with no email', 'no email')
  await call('POST', '/auth/signin', { body: `{"email":"${email}","password":"${password}"` })
  for (let count = 0; count < 11; count++)
    await signIn('a password that is guessed', 'guessed@example.com')

  const phone = keep(await startSession(ann))
  const renewed = keep(await call('POST', '/auth/refresh', { cookie: phone.cookie }))
  secrets.add(renewed.body.accessToken)
  await app.sql`update sessions set rotated_at = now() - interval '1 hour'`
  await call('POST', '/auth/refresh', { cookie: `${phone.cookie}; refresh=planted` })

  const tablet = keep(await startSession(ann))
  await call('DELETE', `/auth/sessions/${sessionIdOf(tablet.token)}`, { token })
  const laptop = keep(await startSession(ann))
  await call('POST', '/auth/signout', { cookie: laptop.cookie })
  await call('POST', '/auth/password', { token, body: { current: 'a wrong password', next: NEXT } })
  await call('POST', '/auth/password', { token, body: { current: password, next: NEXT } })

  const feed = await openFeed(t, url, { cookie: ann.cookie })
  await feed.next('ready')
  feed.stop()
  // Sends tokens in places where clients might send them by mistake.
  await call('GET', `/users/me?access_token=${token}`)
  await call('GET', `/events?token=${token}&password=${password}`)
  await call('GET', '/users/me', { headers: { authorization: `Basic ${token}` } })
  await call('GET', '/users/me', { token: `${token}x` })

  const bob = keep(await signUp('the password of a deleted account'))
  await call('DELETE', '/users/me', { token: bob.token, body: { password: 'a wrong password' } })
  await call('DELETE', '/users/me', { token: bob.token, body: { password: bob.password } })

  const lines = await until(() => {
    const found = service.output.stdout.split('\n').filter(line => line.startsWith('{'))
    return found.some(line => line.includes('account.deleted')) ? found : undefined
  })
  const audit = lines.map(line => JSON.parse(line)).filter(({ event }) => event)

  t.test('the audit log contains every account action in order', async t => {
    const events = audit.map(({ event }) => event)
    t.strictSame(events, [
      'account.created',
      'session.started',
      ...Array(2).fill('password.wrong'),
      ...Array(11).fill('password.wrong').with(10, 'throttled'),
      'session.started',
      'session.refreshed',
      'session.reused',
      'session.started',
      'session.ended',
      'session.started',
      'session.ended',
      'password.wrong',
      'password.changed',
      'account.created',
      'session.started',
      'password.wrong',
      'account.deleted'
    ])
    for (const line of audit) {
      t.match(line, { ip: '127.0.0.1', reqId: /^[\da-f-]{36}$/, msg: line.event })
    }
    const ofAnn = audit.filter(({ userId }) => userId === ann.id)
    t.equal(ofAnn.length, 12)
    const [started] = ofAnn.filter(({ event }) => event === 'session.started')
    t.match(started.session, /^[\da-f]{16}$/)
    t.notOk(
      JSON.stringify(audit).includes(sessionIdOf(ann.token)),
      'the log contains hashes of session ids'
    )
    const [reused] = ofAnn.filter(({ event }) => event === 'session.reused')
    t.equal(reused.level, 40)
  })

  t.test('the log contains no password, token or email', async t => {
    const log = service.output.stdout + service.output.stderr
    t.ok(secrets.size > 15)
    const leaked = [...secrets].filter(
      secret => log.includes(secret) || log.includes(encodeURIComponent(secret))
    )
    t.strictSame(leaked, [])
    t.notOk(/argon2/.test(log))
    t.notOk(log.includes(email))
  })

  t.test('no value in the database works as a credential', async t => {
    const values = await dump()
    t.ok(values.size > 50)
    const kept = [...values].filter(value => [...secrets].some(secret => value.includes(secret)))
    t.strictSame(kept, [])

    const credentials = new Set<string>()
    for (const value of values) {
      if (!/^[\x20-\x7e]{1,1024}$/.test(value)) continue
      for (const form of [value, value.replaceAll('-', ''), btoa(value)]) {
        const replies = await Promise.all([
          call('POST', '/auth/refresh', { cookie: `refresh=${form}` }),
          call('GET', '/users/me', { token: form })
        ])
        if (replies.some(({ status }) => status === 200)) credentials.add(value)
      }
    }
    const passwordHash = await hashOf(ann.id)
    for (const value of values) {
      if (await app.passwords.verify(passwordHash, value)) credentials.add(value)
    }
    t.strictSame(credentials, new Set())
  })
})

/** Signs a user up at the process that writes the log. */
async function signUp(password: string) {
  const email = `${randomUUID()}@example.com`
  const { body } = await call('POST', '/auth/signup', { body: { email, password, name: 'Ann' } })
  const account = { id: body.id as string, email, password }
  return { ...account, ...(await startSession(account)) }
}

async function startSession({ email, password }: { email: string; password: string }) {
  const { body, cookie } = await call('POST', '/auth/signin', { body: { email, password } })
  return { token: body.accessToken as string, cookie }
}

/** Returns every value of every column of every table. */
async function dump(): Promise<Set<string>> {
  const { sql } = app
  const tables = await sql<{ name: string }[]>`
    select table_name as name
    from information_schema.tables
    where table_schema = 'public'
  `
  const values = new Set<string>()
  for (const { name } of tables) {
    const rows = await sql<{ row: object }[]>`select to_jsonb(t) as row from ${sql(name)} as t`
    for (const { row } of rows) for (const value of Object.values(row)) values.add(String(value))
  }
  return values
}

async function hashOf(id: string): Promise<string> {
  const [user] = await app.sql`select password_hash from users where id = ${id}`
  return user?.password_hash
}
