import { hash } from '@node-rs/argon2'
import t from 'tap'
import { build } from '../../support/app.ts'
import { createUser, PASSWORD } from '../../support/users.ts'

const app = await build(t)
const ann = await createUser(app)
const signIn = (payload: object, headers = {}) =>
  app.inject({ method: 'POST', url: '/auth/signin', payload, headers })

t.test('a sign-in returns an access token and one cookie', async t => {
  const reply = await signIn({ email: ann.email.toUpperCase(), password: PASSWORD })
  t.equal(reply.statusCode, 200)
  t.strictSame(Object.keys(reply.json()), ['accessToken'])
  t.match(
    reply.headers['set-cookie'],
    /^refresh=[\w-]{71}; Max-Age=604800; Path=\/; HttpOnly; Secure; SameSite=Strict$/
  )
  t.equal(reply.headers['cache-control'], 'no-store')
})

t.test('an access token is an at+jwt without personal data', async t => {
  const { accessToken } = (await signIn({ email: ann.email, password: PASSWORD })).json()
  const [header, payload] = accessToken
    .split('.')
    .map((part: string) => Buffer.from(part, 'base64url').toString())
  t.match(JSON.parse(header), { alg: 'HS256', typ: 'at+jwt', kid: /^[\w-]{8}$/ })
  const claims = JSON.parse(payload)
  t.strictSame(Object.keys(claims).sort(), ['aud', 'exp', 'iat', 'iss', 'jti', 'sid', 'sub'])
  t.equal(claims.sub, ann.id)
  t.equal(claims.exp - claims.iat, 900)
})

t.test('a wrong password and an unknown email return the same response', async t => {
  await app.sql`insert into users (email, name) values ('made@by.sql', 'Sue')`
  const attempts = [
    { email: ann.email, password: 'wrong' },
    { email: 'nobody@example.com', password: PASSWORD },
    { email: 'made@by.sql', password: PASSWORD },
    { email: ann.email, password: PASSWORD.toUpperCase() },
    { email: ann.email, password: `${PASSWORD} ` }
  ]
  const bodies = new Set<string>()
  for (const attempt of attempts) {
    const reply = await signIn(attempt)
    t.equal(reply.statusCode, 401)
    t.equal(reply.headers['set-cookie'], undefined)
    bodies.add(reply.body)
  }
  t.equal(bodies.size, 1)
})

t.test('a malformed sign-in returns 400', async t => {
  const good = { email: ann.email, password: PASSWORD }
  for (const bad of [
    { email: undefined },
    { email: '' },
    { email: 'ann' },
    { email: [ann.email] },
    { password: undefined },
    { password: '' },
    { password: 7 },
    { password: null },
    { password: 'x'.repeat(1025) },
    { password: 'nul\u0000' },
    { password: 'half \ud800' },
    { more: 1 }
  ]) {
    t.equal((await signIn({ ...good, ...bad })).statusCode, 400, JSON.stringify(bad))
  }
})

t.test('a password matches in every Unicode composition', async t => {
  const email = 'e@example.com'
  const payload = { email, password: 'caf\u00e9 cr\u00e8me', name: 'Zoé' }
  await app.inject({ method: 'POST', url: '/auth/signup', payload })
  t.equal((await signIn({ email, password: 'cafe\u0301 cre\u0300me' })).statusCode, 200)
  t.equal((await signIn({ email, password: 'cafe creme' })).statusCode, 401)
})

t.test('a weak hash is replaced at the next sign-in', async t => {
  const { id, email } = await createUser(app)
  const weak = await hash(PASSWORD, { memoryCost: 4096, timeCost: 1 })
  await app.sql`update users set password_hash = ${weak} where id = ${id}`
  const stored = async () => {
    const [user] = await app.sql`select password_hash from users where id = ${id}`
    return user?.password_hash
  }

  t.equal((await signIn({ email, password: 'wrong' })).statusCode, 401)
  t.equal(await stored(), weak)
  t.equal((await signIn({ email, password: PASSWORD })).statusCode, 200)
  t.match(await stored(), /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  t.equal((await signIn({ email, password: PASSWORD })).statusCode, 200)
})

t.test('a sign-in from a foreign origin returns 403 FOREIGN_ORIGIN', async t => {
  const foreign = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: '' },
    { origin: 'https://localhost.evil.example' },
    { origin: 'https://localhost:81' },
    { origin: 'https://localhost@evil.example' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' }
  ]
  for (const headers of foreign) {
    const reply = await signIn({ email: ann.email, password: PASSWORD }, headers)
    t.equal(reply.statusCode, 403, JSON.stringify(headers))
    t.equal(reply.json().code, 'FOREIGN_ORIGIN')
    t.equal(reply.headers['set-cookie'], undefined)
  }
  for (const headers of [
    { host: 'api.example', origin: 'https://api.example' },
    { 'sec-fetch-site': 'same-origin' },
    { 'sec-fetch-site': 'none' }
  ]) {
    const reply = await signIn({ email: ann.email, password: PASSWORD }, headers)
    t.equal(reply.statusCode, 200, JSON.stringify(headers))
  }
})
