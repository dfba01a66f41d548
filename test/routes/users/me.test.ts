import { createHmac } from 'node:crypto'
import t from 'tap'
import { build } from '../../support/app.ts'
import { createDatabase } from '../../support/database.ts'
import { times } from '../../support/times.ts'
import { until } from '../../support/until.ts'
import { createUser } from '../../support/users.ts'

const SECRET = 'a secret that only this file knows about'
const app = await build(t, { JWT_SECRET: SECRET })
const ann = await createUser(app)
const me = (authorization?: string) =>
  app.inject({ url: '/users/me', headers: authorization === undefined ? {} : { authorization } })

const [header, claims] = ann.token
  .split('.')
  .slice(0, 2)
  .map(part => JSON.parse(Buffer.from(part, 'base64url').toString()))

/** Returns Ann's token with some fields changed, signed as the service does. */
function signed(changes: { header?: object; claims?: object }, secret = SECRET): string {
  return signedText(
    JSON.stringify({ ...header, ...changes.header }),
    JSON.stringify({ ...claims, ...changes.claims }),
    secret
  )
}

function signedText(header: string, payload: string, secret = SECRET): string {
  const input = [header, payload].map(part => Buffer.from(part).toString('base64url')).join('.')
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

t.test('a user reads their own name', async t => {
  const reply = await me(`Bearer ${ann.token}`)
  t.equal(reply.statusCode, 200)
  t.strictSame(reply.json(), { id: ann.id, name: 'Ann' })
  t.equal((await me(`bearer  ${ann.token}`)).statusCode, 200)
  t.equal(
    (await me(`Bearer ${signed({})}`)).statusCode,
    200,
    'a token signed by this test is valid'
  )
})

t.test('a user in memory is returned without a query, until the name changes', async t => {
  const { id, headers } = await createUser(app)
  const read = async () => (await app.inject({ url: '/users/me', headers })).json()
  t.strictSame(await read(), { id, name: 'Ann' })
  await app.sql.begin(async sql => {
    await sql`lock table users in access exclusive mode`
    t.strictSame(await read(), { id, name: 'Ann' })
  })
  await app.sql`update users set name = 'Bea' where id = ${id}`
  await until(async () => (await read()).name === 'Bea')
  await app.sql`update users set email = ${`${id}@example.com`} where id = ${id}`
  t.strictSame(await read(), { id, name: 'Bea' })
})

t.test('users read their own new name at once', async t => {
  const { headers } = await createUser(app)
  const read = async () => (await app.inject({ url: '/users/me', headers })).json().name
  for (let n = 0; n < 30; n++) {
    // Requests that run at the same time must not put the old name back into memory.
    const [reply] = await Promise.all([
      app.inject({ method: 'PATCH', url: '/users/me', headers, payload: { name: `Ann ${n}` } }),
      times(5, read)
    ])
    t.equal(reply.statusCode, 200)
    t.equal(await read(), `Ann ${n}`)
  }
})

t.test('a request without a token returns 401', async t => {
  const reply = await me()
  t.equal(reply.statusCode, 401)
  t.equal(reply.json().code, 'NO_TOKEN')
  const withCookie = await app.inject({ url: '/users/me', headers: { cookie: ann.cookie } })
  t.equal(withCookie.statusCode, 401)
})

t.test('an invalid token returns 401', async t => {
  const now = Math.floor(Date.now() / 1000)
  const [head, body, mac] = ann.token.split('.') as [string, string, string]
  const none = Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')
  const wrong = [
    '',
    'x',
    '.',
    '..',
    '...',
    `${head}.${body}`,
    `${head}.${body}.`,
    `${head}..${mac}`,
    `.${body}.${mac}`,
    `${head}.${body}.${mac}.${mac}`,
    `${head}.${body}.${mac.slice(0, -1)}`,
    `${head}.${body}.${mac}=`,
    `${none}.${body}.`,
    `${none}.${body}.${mac}`,
    ann.cookie.slice('refresh='.length),
    'é'.repeat(10),
    'a'.repeat(15_000),
    signed({}, 'a secret that the service does not know'),
    signed({ header: { alg: 'HS512' } }),
    signed({ header: { alg: 'none' } }),
    signed({ header: { alg: 'RS256' } }),
    signed({ header: { alg: ['HS256'] } }),
    signed({ header: { typ: 'JWT' } }),
    signed({ header: { typ: undefined } }),
    signed({ header: { typ: 1 } }),
    signed({ header: { kid: undefined } }),
    signed({ header: { kid: 'other' } }),
    signed({ header: { kid: '__proto__' } }),
    signed({ header: { kid: {} } }),
    signed({ header: { crit: ['b64'], b64: false } }),
    signed({ header: { crit: [] } }),
    signed({ header: { crit: 'exp' } }),
    signed({ claims: { exp: undefined } }),
    signed({ claims: { exp: null } }),
    signed({ claims: { exp: String(now + 60) } }),
    signed({ claims: { exp: now + 0.5 } }),
    signed({ claims: { exp: 1e300 } }),
    signed({ claims: { exp: now + 86_400 } }),
    signed({ claims: { iat: undefined } }),
    signed({ claims: { iat: now + 3600, exp: now + 3700 } }),
    signed({ claims: { nbf: now + 60 } }),
    signed({ claims: { nbf: 'soon' } }),
    signed({ claims: { iss: 'other' } }),
    signed({ claims: { aud: 'other' } }),
    signed({ claims: { aud: ['concord'] } }),
    signed({ claims: { sub: undefined } }),
    signed({ claims: { sub: "' or 1=1 --" } }),
    signed({ claims: { sub: 1 } }),
    signed({ claims: { sid: undefined } }),
    signed({ claims: { sid: {} } }),
    signed({ claims: { sub: '00000000-0000-4000-8000-000000000000' } }),
    ...['null', '1', '"x"', '[]', 'true', '', '{', '\u0000'].flatMap(text => [
      signedText(JSON.stringify(header), text),
      signedText(text, JSON.stringify(claims))
    ])
  ]
  for (const token of wrong) {
    const reply = await me(`Bearer ${token}`)
    t.equal(reply.statusCode, 401, token.slice(0, 200))
    t.equal(reply.json().code, 'BAD_TOKEN')
  }
  for (const authorization of ['', 'Bearer', 'Basic YTpi', `Bearer ${ann.token} x`, ann.token]) {
    t.equal((await me(authorization)).statusCode, 401, authorization)
  }
})

t.test('an expired token returns 403, an invalid one 401 even when expired', async t => {
  const now = Math.floor(Date.now() / 1000)
  const old = { iat: now - 900, exp: now }
  const reply = await me(`Bearer ${signed({ claims: old })}`)
  t.equal(reply.statusCode, 403)
  t.equal(reply.json().code, 'TOKEN_EXPIRED')
  for (const token of [
    signed({ claims: old }, 'a secret that the service does not know'),
    signed({ claims: { ...old, aud: 'other' } }),
    signed({ claims: old, header: { typ: 'JWT' } })
  ]) {
    t.equal((await me(`Bearer ${token}`)).statusCode, 401)
  }
})

t.test('an access token expires after ACCESS_TOKEN_TTL seconds', async t => {
  const short = await build(t, { ACCESS_TOKEN_TTL: '1' })
  const { headers } = await createUser(short)
  await until(async () => {
    const { statusCode } = await short.inject({ url: '/users/me', headers })
    return statusCode === 403
  })
})

t.test('the token of a deleted user returns 401', async t => {
  const { id, headers } = await createUser(app)
  await app.sql`delete from users where id = ${id}`
  t.equal((await app.inject({ url: '/users/me', headers })).statusCode, 401)
})

t.test('GET /users/me queries once, and never with an invalid token', async t => {
  const DATABASE_URL = await createDatabase(t)
  const alone = await build(t, { DATABASE_URL })
  const { headers } = await createUser(alone)
  const queries: string[] = []
  alone.sql.options.debug = (_connection, query) => queries.push(query)
  await alone.inject({ url: '/users/me', headers })
  await alone.inject({ url: '/users/me', headers: { authorization: 'Bearer x' } })
  t.equal(queries.filter(query => query.includes('from users')).length, 1)
})
