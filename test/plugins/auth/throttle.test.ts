import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { startNode } from '../../support/app.ts'
import { createDatabase } from '../../support/database.ts'
import type { HttpClient, HttpRequest } from '../../support/http-client.ts'
import { times } from '../../support/times.ts'
import { createUser } from '../../support/users.ts'

const settings = { RATE_LIMIT: 'on', TRUST_PROXY: '127.0.0.1' }
const { app, call } = await startNode(t, settings)

interface Guess {
  password?: string
  from?: string
  cookie?: string
}

/** Sends a sign-in from the address `from`; the default is the same for all guesses. */
function guess(call: HttpClient, email: string, about: Guess = {}) {
  const { password = 'wrong', from = '192.0.2.1', cookie } = about
  const headers = { 'x-forwarded-for': from }
  return call('POST', '/auth/signin', { body: { email, password }, headers, cookie })
}

const otherAddress = '192.0.2.2'
const unknown = () => `${randomUUID()}@example.com`
const statuses = (replies: { status: number }[]) => replies.map(({ status }) => status)

function isRefused(
  t: Test,
  { status, body, headers }: Awaited<ReturnType<HttpClient>>,
  { within = 900 } = {}
) {
  t.equal(status, 429)
  t.equal(body.code, 'TOO_OFTEN')
  const wait = Number(headers['retry-after'])
  t.ok(wait > within - 60 && wait <= within, `Retry-After: ${wait}`)
  t.equal(headers['set-cookie'], undefined)
}

t.test('ten wrong passwords from one address block it on every node', async t => {
  const DATABASE_URL = await createDatabase(t)
  const env = { ...settings, DATABASE_URL }
  const [one, two] = [await startNode(t, env), await startNode(t, env)]
  const [ann, bob] = [await createUser(one.app), await createUser(one.app)]
  for (let count = 0; count < 10; count++) {
    const { call } = count % 2 ? one : two
    t.equal((await guess(call, count % 3 ? ann.email : ann.email.toUpperCase())).status, 401)
  }
  for (const { call } of [one, two]) {
    isRefused(t, await guess(call, ann.email))
    isRefused(t, await guess(call, ann.email, { password: ann.password }))
    const { password } = ann
    t.equal(
      (await guess(call, ann.email, { password, from: otherAddress })).status,
      200,
      'the same sign-in from another address succeeds'
    )
  }
  t.equal((await guess(one.call, bob.email, { password: bob.password })).status, 200)

  const key = `guess at ${ann.email} from 192.0.2.1`
  await one.app.sql`update throttles set resets_at = now() where key = ${key}`
  t.equal((await guess(two.call, ann.email, { password: ann.password })).status, 200)
  t.equal((await guess(two.call, ann.email)).status, 401, 'the count restarts')
})

t.test('ten guesses at an unknown email return 401, the next 429', async t => {
  const email = unknown()
  for (let count = 0; count < 10; count++) t.equal((await guess(call, email)).status, 401)
  isRefused(t, await guess(call, email))
})

t.test('a hundred wrong passwords from many networks block sign-ins to the account', async t => {
  const ann = await createUser(app)
  const { email, password } = ann
  await guess(call, email, { from: '2001:db8:7:1::1' })
  await app.sql`update throttles set count = 99 where key = ${`guess at ${email}`}`
  t.equal((await guess(call, email, { from: '2001:db8:7:2::1' })).status, 401, 'guess 100')
  isRefused(t, await guess(call, email, { from: '2001:db8:7:3::1' }))
  isRefused(t, await guess(call, email, { password, from: '2001:db8:7:4::1' }))
  t.equal((await guess(call, email, { password, cookie: ann.cookie })).status, 200)
})

t.test('one IPv6 /64 has ten password guesses at an account', async t => {
  const ann = await createUser(app)
  for (let count = 0; count < 10; count++) {
    t.equal((await guess(call, ann.email, { from: `2001:db8:8:1::${count}` })).status, 401)
  }
  isRefused(t, await guess(call, ann.email, { from: '2001:db8:8:1:ffff::' }))
  t.equal((await guess(call, ann.email, { from: '2001:db8:8:2::' })).status, 401)
})

t.test('of 50 concurrent guesses on two nodes, ten are checked', async t => {
  const DATABASE_URL = await createDatabase(t)
  const env = { ...settings, DATABASE_URL }
  const [one, two] = [await startNode(t, env), await startNode(t, env)]
  const ann = await createUser(one.app)
  const { email, password } = ann
  const replies = await times(50, index =>
    guess((index % 2 ? two : one).call, index % 2 ? email : email.toUpperCase())
  )
  t.strictSame(statuses(replies).sort(), [...Array(10).fill(401), ...Array(40).fill(429)])
  isRefused(t, await guess(one.call, email, { password }))
})

t.test('of 150 concurrent guesses from many networks, 100 are checked', async t => {
  const DATABASE_URL = await createDatabase(t)
  const env = { ...settings, DATABASE_URL }
  const [one, two] = [await startNode(t, env), await startNode(t, env)]
  const { email } = await createUser(one.app)
  const replies = await times(150, index =>
    guess((index % 2 ? two : one).call, email, { from: `198.51.100.${index}` })
  )
  t.strictSame(statuses(replies).sort(), [...Array(100).fill(401), ...Array(50).fill(429)])
})

t.test('correct passwords do not count as guesses', async t => {
  const ann = await createUser(app)
  const { password } = ann
  const replies = await times(30, () => guess(call, ann.email, { password, from: '192.0.2.251' }))
  t.strictSame(new Set(statuses(replies)), new Set([200]))
  for (let count = 0; count < 9; count++) await guess(call, ann.email)
  t.equal((await guess(call, ann.email, { password })).status, 200)
  t.equal((await guess(call, ann.email)).status, 401, 'guess 10')
  isRefused(t, await guess(call, ann.email, { password }))
})

t.test('a browser with a session is blocked only by its own guesses', async t => {
  const [ann, eve] = [await createUser(app), await createUser(app)]
  const { email, password, cookie } = ann
  for (let count = 0; count < 10; count++) await guess(call, email)
  isRefused(t, await guess(call, email, { password }))
  isRefused(t, await guess(call, email, { password, cookie: eve.cookie }))
  const reply = await guess(call, email, { password, cookie })
  t.equal(reply.status, 200)

  for (let count = 0; count < 10; count++) {
    t.equal((await guess(call, email, { cookie: reply.cookie })).status, 401)
  }
  isRefused(t, await guess(call, email, { password, cookie: reply.cookie }))
})

t.test('a hundred wrong passwords block an address for all accounts', async t => {
  const from = '198.51.100.7'
  const ann = await createUser(app)
  await guess(call, unknown(), { from })
  await app.sql`update throttles set count = 99 where key = ${`guess from ${from}`}`
  t.equal((await guess(call, unknown(), { from })).status, 401, 'guess 100')
  isRefused(t, await guess(call, unknown(), { from }))
  isRefused(t, await guess(call, ann.email, { password: ann.password, from }))
  const mapped = `::ffff:${from}`
  isRefused(t, await guess(call, unknown(), { from: mapped }))
  t.equal((await guess(call, unknown(), { from: '198.51.100.8' })).status, 401)
})

t.test('all addresses of an IPv6 /64 share one count of guesses', async t => {
  await guess(call, unknown(), { from: '2001:db8:1:2::1' })
  await app.sql`update throttles set count = 100 where key = 'guess from 2001:db8:1:2::/64'`
  isRefused(t, await guess(call, unknown(), { from: '2001:DB8:1:2:ffff:ffff:ffff:ffff' }))
  t.equal((await guess(call, unknown(), { from: '2001:db8:1:3::1' })).status, 401)
})

t.test('a spoofed X-Forwarded-For prefix does not avoid the block', async t => {
  const from = '203.0.113.9'
  await guess(call, unknown(), { from })
  await app.sql`update throttles set count = 100 where key = ${`guess from ${from}`}`
  for (const spoofed of ['1.2.3.4', '127.0.0.1', 'unknown', '::1', 'é', '', 'x'.repeat(4000)]) {
    isRefused(t, await guess(call, unknown(), { from: `${spoofed}, ${from}` }))
  }
})

t.test('without TRUST_PROXY every header with a client address is ignored', async t => {
  const direct = await startNode(t, { RATE_LIMIT: 'on' })
  await guess(direct.call, unknown())
  await direct.app.sql`update throttles set count = 100 where key = 'guess from 127.0.0.1'`
  const names = ['x-forwarded-for', 'x-real-ip', 'forwarded', 'cf-connecting-ip', 'true-client-ip']
  for (const name of names) {
    const headers = { [name]: name === 'forwarded' ? 'for=1.2.3.4' : '1.2.3.4' }
    const body = { email: unknown(), password: 'wrong' }
    isRefused(t, await direct.call('POST', '/auth/signin', { body, headers }))
  }
})

t.test('the 301st sign-up of one address within an hour returns 429', async t => {
  const from = '198.51.100.99'
  const signUp = (email: string, headers = { 'x-forwarded-for': from }) =>
    call('POST', '/auth/signup', { body: { email, password: 'long enough', name: 'Ann' }, headers })
  const email = unknown()
  t.equal((await signUp(email)).status, 201)
  await app.sql`update throttles set count = 298 where key = ${`sign-up from ${from}`}`
  t.equal((await signUp(email)).status, 409, 'a refused sign-up counts, too')
  t.equal((await signUp(unknown())).status, 201)
  isRefused(t, await signUp(unknown()), { within: 3600 })
  t.equal((await signUp(unknown(), { 'x-forwarded-for': '198.51.100.98' })).status, 201)
})

t.test('a stolen access token allows ten password guesses and blocks no sign-in', async t => {
  const ann = await createUser(app)
  const { token } = ann
  const attempts: [string, string, HttpRequest['body']][] = [
    ['POST', '/auth/password', { current: 'wrong', next: 'long enough' }],
    ['DELETE', '/users/me', { password: 'wrong' }]
  ]
  for (let count = 0; count < 10; count++) {
    const [method, path, body] = attempts[count % 2] as (typeof attempts)[0]
    t.equal((await call(method, path, { token, body })).status, 401)
  }
  for (const [method, path, body] of attempts) {
    isRefused(t, await call(method, path, { token, body }))
  }
  isRefused(t, await call('DELETE', '/users/me', { token, body: { password: ann.password } }))
  t.equal((await guess(call, ann.email, { password: ann.password })).status, 200)
})

t.test('an owner who adds fifty unknown emails receives 429 for an hour', async t => {
  const DATABASE_URL = await createDatabase(t)
  const env = { ...settings, DATABASE_URL }
  const [one, two] = [await startNode(t, env), await startNode(t, env)]
  const [ann, bob, eve] = [
    await createUser(one.app),
    await createUser(one.app, 'Bob'),
    await createUser(one.app, 'Eve')
  ]
  const { token } = ann
  const { body: project } = await one.call('POST', '/projects', { token, body: { name: 'Fair' } })
  const path = `/projects/${project.id}/members`
  const add = (call: HttpClient, email: string, by = token) =>
    call('POST', path, { token: by, body: { email, role: 'owner' } })

  t.equal((await add(one.call, unknown())).status, 404)
  t.equal((await add(one.call, bob.email)).status, 201, 'not counted')
  for (let count = 0; count < 60; count++) {
    t.equal((await add(one.call, bob.email)).status, 409, 'not counted')
    t.equal((await add(one.call, unknown(), eve.token)).body.code, 'PROJECT_NOT_FOUND')
  }
  const replies = await times(100, index => add((index % 2 ? one : two).call, unknown()))
  t.strictSame(statuses(replies).sort(), [...Array(49).fill(404), ...Array(51).fill(429)])

  for (const { call } of [one, two]) {
    isRefused(t, await add(call, unknown()), { within: 3600 })
    isRefused(t, await add(call, eve.email), { within: 3600 })
  }
  t.equal((await one.call('GET', path, { token })).body.members.length, 2)
  t.equal(
    (await add(one.call, unknown(), bob.token)).status,
    404,
    'every owner has their own count'
  )
})

t.test('RATE_LIMIT=off turns off the throttling of password guesses', async t => {
  const free = await startNode(t, { RATE_LIMIT: 'off' })
  const replies = await times(12, () => guess(free.call, 'ann@example.com'))
  t.strictSame(new Set(statuses(replies)), new Set([401]))
  t.equal((await free.app.sql`select from throttles`).length, 0)
})
