import type { FastifyInstance } from 'fastify'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import type { AccessClaims } from '../../schemas/auth.ts'
import { build, listen } from '../support/app.ts'
import { createDatabase } from '../support/database.ts'
import { openLive } from '../support/live-client.ts'
import { insertProject } from '../support/projects.ts'
import { openFeed } from '../support/sse-client.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'
import {
  createUser,
  PASSWORD,
  type Session,
  sessionIdOf,
  signIn,
  type User
} from '../support/users.ts'

// The end of a session ends its streams and sockets on every node, and no others.

t.jobs = 4

const url = await createDatabase(t)
const one = await build(t, { DATABASE_URL: url, REFRESH_GRACE: '0' })
const two = await build(t, { DATABASE_URL: url })
const nodes = [await listen(one), await listen(two)]

/** Ends `session` at the first node; `other` is another session of the same user. */
type Cause = (ann: User, session: Session, other: Session) => Promise<unknown>

const causes: Record<string, Cause> = {
  'signing out': (_, { cookie }) =>
    one.inject({ method: 'POST', url: '/auth/signout', headers: { cookie } }),
  'reusing a refresh token': async (_, { cookie }) => {
    for (const status of [200, 403]) {
      await until(async () => {
        const reply = await one.inject({
          method: 'POST',
          url: '/auth/refresh',
          headers: { cookie }
        })
        return reply.statusCode === status
      })
    }
  },
  'changing the password': (_, __, { headers }) => {
    const payload = { current: PASSWORD, next: 'a new password' }
    return one.inject({ method: 'POST', url: '/auth/password', headers, payload })
  },
  'ending it from another session': (_, { token }, { headers }) =>
    one.inject({ method: 'DELETE', url: `/auth/sessions/${sessionIdOf(token)}`, headers }),
  'ending all other sessions': (_, __, { headers }) =>
    one.inject({ method: 'DELETE', url: '/auth/sessions', headers }),
  'deleting the row': (_, { token }) =>
    one.sql`delete from sessions where id = ${sessionIdOf(token)}`
}

for (const [name, end] of Object.entries(causes)) {
  t.test(`${name} ends the streams and sockets of that session only`, async t => {
    const ann = await createUser(one)
    const other = await signIn(one, ann)
    const ended = await openClients(t, ann)
    const kept = await openClients(t, other)
    const begin = performance.now()
    await end(ann, ann, other)
    await checkEnded(t, ended)
    t.comment(`${Math.round(performance.now() - begin)} ms`)
    await checkOpen(t, one, ann, kept)
  })
}

t.test('deleting an account ends all its streams and sockets', async t => {
  const ann = await createUser(one)
  const all = [...(await openClients(t, ann)), ...(await openClients(t, await signIn(one, ann)))]
  const { headers } = ann
  await one.inject({ method: 'DELETE', url: '/users/me', headers, payload: { password: PASSWORD } })
  await checkEnded(t, all)
})

t.test('rotating refresh tokens ends no stream or socket', async t => {
  const ann = await createUser(two)
  const kept = await openClients(t, ann)
  const refresh = () =>
    two.inject({ method: 'POST', url: '/auth/refresh', headers: { cookie: ann.cookie } })
  const replies = await Promise.all(Array.from({ length: 10 }, refresh))
  t.strictSame(new Set(replies.map(({ statusCode }) => statusCode)), new Set([200]))
  await checkOpen(t, two, ann, kept)
})

t.test('the end of a session reaches a node without LISTEN notifications', async t => {
  const app = await build(t, { DATABASE_URL: url })
  const node = await listen(app)
  const ann = await createUser(app)
  const feed = await openFeed(t, node, ann.headers)
  await feed.next('ready')
  const live = await openLive(t, node, { cookie: ann.cookie })
  // Terminates every LISTEN connection, also those of the other nodes.
  const terminating = setInterval(() => {
    one.sql`
      select pg_terminate_backend(pid)
      from pg_stat_activity
      where datname = current_database()
      and application_name = 'concord listen'`.catch(() => {})
  }, 5)
  t.teardown(() => clearInterval(terminating))
  await one.inject({ method: 'POST', url: '/auth/signout', headers: { cookie: ann.cookie } })
  await feed.next('session.ended')
  t.equal(await live.closed, 4403)
})

t.test('a node that cannot read the log queries the ended sessions', async t => {
  const proxy = await tcpProxy(t, url)
  const lost = await build(t, { DATABASE_URL: url, LISTEN_URL: proxy.url })
  const node = await listen(lost)
  const ann = await createUser(lost)
  const feed = await openFeed(t, node, ann.headers)
  await feed.next('ready')
  const live = await openLive(t, node, { cookie: ann.cookie })
  proxy.hold()
  await one.inject({ method: 'POST', url: '/auth/signout', headers: { cookie: ann.cookie } })
  t.equal(await live.closed, 4403)
  await feed.next('session.ended')
  const reply = await fetch(`${node}/users/me`, { headers: ann.headers })
  t.equal(reply.status, 401)
})

t.test('an expired token closes streams and sockets, a renewed one does not', async t => {
  const app = await build(t, { DATABASE_URL: url, ACCESS_TOKEN_TTL: '5' })
  const node = await listen(app)
  const eve = await createUser(app, 'Eve')
  const ann = await createUser(app)
  const feed = await openFeed(t, node, ann.headers)
  const [brief, long] = [await openLive(t, node, ann.headers), await openLive(t, node, ann.headers)]
  long.send({ type: 'auth', accessToken: eve.token })
  t.match(await long.next('error'), { code: 'BAD_TOKEN' })
  const again = async () => {
    const headers = { cookie: ann.cookie }
    const reply = await app.inject({ method: 'POST', url: '/auth/refresh', headers })
    long.send({ type: 'auth', accessToken: reply.json().accessToken })
    return long.next('auth')
  }
  const prolonging = setInterval(() => again().catch(() => {}), 1000)
  t.equal(await brief.closed, 4401)
  await feed.ended
  t.notOk(
    feed.events.some(({ event }) => event === 'session.ended'),
    'the session itself has not ended'
  )
  long.send({ type: 'ping', n: 1 })
  t.match(await long.next('pong'), { n: 1 }, 'open after the first token expired')
  clearInterval(prolonging)
  t.equal(await long.closed, 4401, 'closed when the last token expired')
})

// The clock of the signing node is this many seconds ahead of the other clocks; 60 s are allowed.
const AHEAD_SECONDS = 50

/** Signs an access token for the session of `token`, as a node whose clock is ahead does. */
function signedAhead(app: FastifyInstance, token: string): { authorization: string } {
  const { payload } = app.jwt.decode<{ payload: AccessClaims }>(token) ?? {}
  const iat = Math.floor(Date.now() / 1000) + AHEAD_SECONDS
  const exp = iat + app.config.accessTokenTtl
  return { authorization: `Bearer ${app.jwt.sign({ ...payload, iat, exp } as AccessClaims)}` }
}

t.test('an ended session stays ended on a node whose clock lags', async t => {
  const app = await build(t, { DATABASE_URL: await createDatabase(t), ACCESS_TOKEN_TTL: '1' })
  const [ann, bob] = [await createUser(app), await createUser(app, 'Bob')]
  const status = async (headers: { authorization: string }) =>
    (await app.inject({ url: '/users/me', headers })).statusCode
  const headers = signedAhead(app, ann.token)
  t.equal(await status(headers), 200)
  await app.inject({ method: 'POST', url: '/auth/signout', headers: { cookie: ann.cookie } })
  t.equal(await status(headers), 401)
  // Token times are whole seconds, so one lifetime of 1 s may end at once, but two lifetimes take longer than 1 s.
  for (const _ of [1, 2]) {
    const session = await signIn(app, bob)
    await until(async () => (await status(session.headers)) === 403)
  }
  await app.inject({ method: 'POST', url: '/auth/signout', headers: { cookie: bob.cookie } })
  t.equal(await status(headers), 401)
})

t.test('a starting node refuses an unexpired token of an ended session', async t => {
  const DATABASE_URL = await createDatabase(t)
  const before = await build(t, { DATABASE_URL })
  const ann = await createUser(before)
  const headers = signedAhead(before, ann.token)
  t.equal((await before.inject({ url: '/users/me', headers })).statusCode, 200)
  await before.inject({ method: 'POST', url: '/auth/signout', headers: { cookie: ann.cookie } })
  await before.close()
  await before.sql.end()

  const sql = postgres(DATABASE_URL, { max: 1 })
  const seconds = before.config.accessTokenTtl + AHEAD_SECONDS - 5
  await sql`
    update events
    set at = at - make_interval(secs => ${seconds})
    where kind = 'session.ended'`
  await sql.end()

  const after = await build(t, { DATABASE_URL })
  t.equal((await after.inject({ url: '/users/me', headers })).statusCode, 401)
})

/** Opens a stream and a socket by token and by cookie at every node. */
async function openClients(t: Test, { headers, cookie }: Session) {
  const all = nodes.flatMap(node =>
    [headers, { cookie }].map(async by => {
      const [feed, live] = await Promise.all([openFeed(t, node, by), openLive(t, node, by)])
      await feed.next('ready')
      return { feed, live }
    })
  )
  return Promise.all(all)
}

type Clients = Awaited<ReturnType<typeof openClients>>

async function checkEnded(t: Test, all: Clients) {
  for (const { feed, live } of all) {
    await feed.ended
    const { event, data } = feed.events.at(-1) ?? {}
    t.equal(event, 'session.ended')
    t.type(data?.reason, 'string')
    t.equal(await live.closed, 4403)
  }
}

/** Checks that all streams and sockets still receive events. */
async function checkOpen(t: Test, app: FastifyInstance, { id }: User, all: Clients) {
  await insertProject(app.sql, id)
  for (const { feed, live } of all) {
    await feed.next('member.added')
    live.send({ type: 'ping', n: 1 })
    await live.next('pong')
  }
  t.pass('other streams and sockets stay open')
}
