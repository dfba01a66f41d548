import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { deriveKeys } from '../../../lib/keys.ts'
import { decodeRefreshToken } from '../../../lib/refresh-token.ts'
import { build } from '../../support/app.ts'
import { createDatabase } from '../../support/database.ts'
import { until } from '../../support/until.ts'
import { createUser } from '../../support/users.ts'

const SECRET = 'a secret that only this file knows about'
const app = await build(t, { JWT_SECRET: SECRET })

function refresh(cookie?: string, headers = {}, on: FastifyInstance = app) {
  return on.inject({
    method: 'POST',
    url: '/auth/refresh',
    headers: { ...headers, ...(cookie === undefined ? {} : { cookie }) }
  })
}

type Reply = Awaited<ReturnType<typeof refresh>>
const cookieOf = ({ headers }: Reply) => String(headers['set-cookie']).split(';', 1)[0] ?? ''
const read = (cookie: string) =>
  decodeRefreshToken(cookie.split('=')[1] ?? '', deriveKeys([SECRET]))

async function readSession(cookie: string) {
  const { sessionId = '' } = read(cookie) ?? {}
  const [session] = await app.sql`select * from sessions where id = ${sessionId}`
  return session
}

/** Changes the time of the last rotation, so that its grace period is over. */
async function passGrace(cookie: string) {
  const { sessionId = '' } = read(cookie) ?? {}
  await app.sql`update sessions set rotated_at = rotated_at - interval '31 s' where id = ${sessionId}`
}

t.test('a refresh returns an access token and the next cookie', async t => {
  const { id, cookie } = await createUser(app)
  const reply = await refresh(cookie)
  t.equal(reply.statusCode, 200)
  t.match(
    reply.headers['set-cookie'],
    /^refresh=[\w-]{71}; Max-Age=604800; Path=\/; HttpOnly; Secure; SameSite=Strict$/
  )
  t.not(cookieOf(reply), cookie)
  t.strictSame(Object.keys(reply.json()), ['accessToken'])
  const authorization = `Bearer ${reply.json().accessToken}`
  const me = await app.inject({ url: '/users/me', headers: { authorization } })
  t.equal(me.json().id, id)
})

t.test('twenty concurrent refreshes return the same cookie after one rotation', async t => {
  const { cookie } = await createUser(app)
  const replies = await Promise.all(Array.from({ length: 20 }, () => refresh(cookie)))
  t.ok(replies.every(({ statusCode }) => statusCode === 200))
  t.equal(new Set(replies.map(cookieOf)).size, 1)
  t.equal((await readSession(cookie))?.counter, 1)

  const more = await Promise.all(replies.map(reply => refresh(cookieOf(reply))))
  t.ok(more.every(({ statusCode }) => statusCode === 200))
  t.equal((await readSession(cookie))?.counter, 1, 'one rotation per grace period')
})

t.test('a reused token works in the grace period, then ends its session', async t => {
  const { cookie, headers } = await createUser(app)
  const next = cookieOf(await refresh(cookie))
  t.equal(cookieOf(await refresh(cookie)), next)

  await passGrace(cookie)
  const reused = await refresh(cookie)
  t.equal(reused.statusCode, 403)
  t.equal(reused.json().code, 'BAD_REFRESH_TOKEN')
  t.equal(reused.headers['set-cookie'], undefined)
  t.match(await readSession(cookie), { revoked_reason: 'reused' })
  t.equal((await refresh(next)).statusCode, 403, 'the newest token is refused, too')
  const me = await app.inject({ url: '/users/me', headers })
  t.equal(me.statusCode, 401, 'its access tokens are refused, too')
})

t.test('a refresh token two rotations old ends its session at once', async t => {
  const { cookie } = await createUser(app)
  const second = cookieOf(await refresh(cookie))
  await passGrace(cookie)
  const third = cookieOf(await refresh(second))
  t.not(third, second)
  t.equal((await refresh(second)).statusCode, 200)
  t.equal((await refresh(cookie)).statusCode, 403)
  t.equal((await refresh(third)).statusCode, 403)
})

t.test('with REFRESH_GRACE=0 every reuse of a refresh token ends its session', async t => {
  const strict = await build(t, { REFRESH_GRACE: '0' })
  const { cookie } = await createUser(strict)
  const second = cookieOf(await refresh(cookie, {}, strict))
  const third = cookieOf(await refresh(second, {}, strict))
  t.equal(new Set([cookie, second, third]).size, 3)
  t.equal((await refresh(second, {}, strict)).statusCode, 403)
  t.equal((await refresh(third, {}, strict)).statusCode, 403)
})

t.test('a refresh without a cookie returns 401', async t => {
  for (const cookie of [undefined, 'other=1', 'refresh=', 'Refresh=x']) {
    const reply = await refresh(cookie)
    t.equal(reply.statusCode, 401, `${cookie}`)
    t.equal(reply.json().code, 'NO_REFRESH_COOKIE')
  }
})

t.test('a refresh with a forged cookie returns 403', async t => {
  const { cookie } = await createUser(app)
  const value = cookie.slice('refresh='.length)
  const forged = [
    'x',
    'undefined',
    '"',
    '%',
    `"${value}"`,
    `%${value.charCodeAt(0).toString(16)}${value.slice(1)}`,
    value.slice(1),
    `${value}A`,
    value.toLowerCase(),
    'A'.repeat(71),
    'é',
    'a'.repeat(8000)
  ]
  for (const other of forged) {
    const reply = await refresh(`refresh=${other}`)
    t.equal(reply.statusCode, 403, other)
    t.equal(reply.headers['set-cookie'], undefined)
  }
  t.equal((await refresh(cookie)).statusCode, 200, 'the session is unchanged')
})

t.test('the valid one of several cookies is used, two return 403', async t => {
  const [ann, eve] = [await createUser(app), await createUser(app)]
  t.equal((await refresh(`refresh=planted; ${ann.cookie}`)).statusCode, 200)
  t.equal((await refresh(`${ann.cookie}; ${ann.cookie}`)).statusCode, 200)
  t.equal((await refresh(`${eve.cookie}; ${ann.cookie}`)).statusCode, 403)
  t.equal((await readSession(eve.cookie))?.counter, 0)
})

t.test('a refresh of an ended session returns 403 within the grace period', async t => {
  const change = {
    'signed out': (id: string) => app.sql`update sessions set revoked_at = now() where id = ${id}`,
    expired: (id: string) => app.sql`update sessions set expires_at = now() where id = ${id}`,
    gone: (id: string) => app.sql`delete from sessions where id = ${id}`
  }
  for (const [name, end] of Object.entries(change)) {
    const { cookie } = await createUser(app)
    const next = cookieOf(await refresh(cookie))
    await end(read(cookie)?.sessionId ?? '')
    t.equal((await refresh(cookie)).statusCode, 403, name)
    t.equal((await refresh(next)).statusCode, 403, name)
  }
})

t.test('a refresh does not extend the session beyond SESSION_MAX_AGE', async t => {
  const short = await build(t, { SESSION_MAX_AGE: '2', REFRESH_GRACE: '0' })
  const { cookie } = await createUser(short)
  let reply = await refresh(cookie, {}, short)
  t.equal(reply.statusCode, 200)
  const exp = JSON.parse(
    Buffer.from(reply.json().accessToken.split('.')[1], 'base64url').toString()
  ).exp
  t.ok(exp <= Date.now() / 1000 + 2, 'the access token expires with the session')
  await until(async () => {
    reply = await refresh(cookieOf(reply), {}, short)
    return reply.statusCode === 403
  })
})

t.test('every secret of JWT_SECRET verifies tokens, the first one signs them', async t => {
  const DATABASE_URL = await createDatabase(t)
  const [old, next] = [
    'the old secret of the service that retires',
    'the new secret of the service from now on'
  ]
  const before = await build(t, { DATABASE_URL, JWT_SECRET: old })
  const { id, cookie, headers } = await createUser(before)

  const both = await build(t, { DATABASE_URL, JWT_SECRET: `${next},${old}` })
  t.equal((await both.inject({ url: '/users/me', headers })).json().id, id)
  const reissued = cookieOf(await refresh(cookie, {}, both))

  const after = await build(t, { DATABASE_URL, JWT_SECRET: next })
  t.equal((await after.inject({ url: '/users/me', headers })).statusCode, 401)
  t.equal((await refresh(cookie, {}, after)).statusCode, 403)
  t.equal((await refresh(reissued, {}, after)).statusCode, 200)
})

t.test('a refresh from a foreign origin returns 403 and rotates nothing', async t => {
  const { cookie } = await createUser(app)
  t.equal((await refresh(cookie, { origin: 'https://evil.example' })).statusCode, 403)
  t.equal((await refresh(cookie, { 'sec-fetch-site': 'cross-site' })).statusCode, 403)
  t.equal((await readSession(cookie))?.counter, 0)

  const open = await build(t, { ALLOWED_ORIGINS: 'https://app.example' })
  const { cookie: other } = await createUser(open)
  t.equal((await refresh(other, { origin: 'https://app.example' }, open)).statusCode, 200)
  t.equal((await refresh(other, { origin: 'http://app.example' }, open)).statusCode, 403)
})
