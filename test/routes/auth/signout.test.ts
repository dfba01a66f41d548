import t from 'tap'
import { build } from '../../support/app.ts'
import { createDatabase } from '../../support/database.ts'
import { until } from '../../support/until.ts'
import { createUser } from '../../support/users.ts'

const app = await build(t)
const CLEARED = 'refresh=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Strict'
const signOut = (headers: Record<string, string>) =>
  app.inject({ method: 'POST', url: '/auth/signout', headers })

t.test('signing out ends the session and takes the cookie away', async t => {
  const { cookie, headers } = await createUser(app)
  const reply = await signOut({ cookie })
  t.equal(reply.statusCode, 200)
  t.equal(reply.body, '{}')
  t.equal(reply.headers['set-cookie'], CLEARED)

  const refresh = { method: 'POST', url: '/auth/refresh', headers: { cookie } } as const
  t.equal((await app.inject(refresh)).statusCode, 403)
  t.equal((await app.inject({ url: '/users/me', headers })).statusCode, 401)
  t.equal((await signOut({ cookie })).statusCode, 200, 'as often as one likes')
})

t.test('whatever the cookie, it is taken away', async t => {
  const { headers } = await createUser(app)
  for (const cookie of [undefined, 'refresh=', 'refresh=x', 'refresh="', 'other=1', '=;=;']) {
    const reply = await signOut(cookie === undefined ? {} : { cookie })
    t.equal(reply.statusCode, 200, `${cookie}`)
    t.equal(reply.headers['set-cookie'], CLEARED)
  }
  t.equal((await app.inject({ url: '/users/me', headers })).statusCode, 200)
})

t.test('one session ends, not the others of the user', async t => {
  const [ann, bob] = [await createUser(app), await createUser(app)]
  await signOut({ cookie: ann.cookie })
  t.equal((await app.inject({ url: '/users/me', headers: bob.headers })).statusCode, 200)
})

t.test('another site cannot sign out', async t => {
  const { cookie, headers } = await createUser(app)
  t.equal((await signOut({ cookie, origin: 'https://evil.example' })).statusCode, 403)
  t.equal((await app.inject({ url: '/users/me', headers })).statusCode, 200)
})

t.test('a node that starts afterwards knows which sessions have ended', async t => {
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

t.test('the other nodes learn it', async t => {
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
