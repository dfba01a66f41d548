import t from 'tap'
import { build } from '../../support/app.ts'
import { createDatabase } from '../../support/database.ts'
import { until } from '../../support/until.ts'
import { createUser } from '../../support/users.ts'

const app = await build(t)
const CLEARED = 'refresh=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Strict'
const signOut = (headers: Record<string, string>) =>
  app.inject({ method: 'POST', url: '/auth/signout', headers })

t.test('a sign-out ends the session and clears the cookie', async t => {
  const { cookie, headers } = await createUser(app)
  const reply = await signOut({ cookie })
  t.equal(reply.statusCode, 200)
  t.equal(reply.body, '{}')
  t.equal(reply.headers['set-cookie'], CLEARED)

  const refresh = { method: 'POST', url: '/auth/refresh', headers: { cookie } } as const
  t.equal((await app.inject(refresh)).statusCode, 403)
  t.equal((await app.inject({ url: '/users/me', headers })).statusCode, 401)
  t.equal((await signOut({ cookie })).statusCode, 200, 'a second sign-out succeeds, too')
})

t.test('a sign-out without a valid cookie returns 200 and clears the cookie', async t => {
  const { headers } = await createUser(app)
  for (const cookie of [undefined, 'refresh=', 'refresh=x', 'refresh="', 'other=1', '=;=;']) {
    const reply = await signOut(cookie === undefined ? {} : { cookie })
    t.equal(reply.statusCode, 200, `${cookie}`)
    t.equal(reply.headers['set-cookie'], CLEARED)
  }
  t.equal((await app.inject({ url: '/users/me', headers })).statusCode, 200)
})

t.test('a sign-out does not end the other sessions of the user', async t => {
  const [ann, bob] = [await createUser(app), await createUser(app)]
  await signOut({ cookie: ann.cookie })
  t.equal((await app.inject({ url: '/users/me', headers: bob.headers })).statusCode, 200)
})

t.test('a sign-out from a foreign origin returns 403 and ends nothing', async t => {
  const { cookie, headers } = await createUser(app)
  t.equal((await signOut({ cookie, origin: 'https://evil.example' })).statusCode, 403)
  t.equal((await app.inject({ url: '/users/me', headers })).statusCode, 200)
})

t.test('a node refuses tokens of sessions that ended before its start', async t => {
  const DATABASE_URL = await createDatabase(t)
  const first = await build(t, { DATABASE_URL })
  const { cookie, headers } = await createUser(first)
  const { id, headers: gone } = await createUser(first)
  await first.inject({ method: 'POST', url: '/auth/signout', headers: { cookie } })
  await first.sql`delete from users where id = ${id}`

  const second = await build(t, { DATABASE_URL })
  t.equal((await second.inject({ url: '/users/me', headers })).statusCode, 401)
  t.equal((await second.inject({ url: '/users/me', headers: gone })).statusCode, 401)
})

t.test('other nodes refuse the tokens of an ended session', async t => {
  const DATABASE_URL = await createDatabase(t)
  const [first, second] = [await build(t, { DATABASE_URL }), await build(t, { DATABASE_URL })]
  const { cookie, headers } = await createUser(first)
  t.equal((await second.inject({ url: '/users/me', headers })).statusCode, 200)
  await first.inject({ method: 'POST', url: '/auth/signout', headers: { cookie } })
  await until(async () => {
    const { statusCode } = await second.inject({ url: '/users/me', headers })
    return statusCode === 401
  }, 1000)
})
