import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { deriveKeys } from '../../../lib/keys.ts'
import { encodeRefreshToken } from '../../../lib/refresh-token.ts'
import { startNode } from '../../support/app.ts'
import { createDatabase } from '../../support/database.ts'
import { type HttpClient, httpClient } from '../../support/http-client.ts'
import { START_MS, spawnService } from '../../support/process.ts'
import { openFeed } from '../../support/sse-client.ts'
import { times } from '../../support/times.ts'
import { until } from '../../support/until.ts'
import { createUser, sessionIdOf } from '../../support/users.ts'

const JWT_SECRET = 'a secret that only this file knows about'
const TABS = 20
const ROUNDS = 100

const refresh = (call: HttpClient, cookie: string) => call('POST', '/auth/refresh', { cookie })
const me = async (call: HttpClient, token: string) =>
  (await call('GET', '/users/me', { token })).status

async function twoNodes(t: Test, env = {}) {
  const DATABASE_URL = await createDatabase(t)
  const settings = { DATABASE_URL, JWT_SECRET, ...env }
  return [await startNode(t, settings), await startNode(t, settings)] as const
}

const [one, two] = await twoNodes(t)
const { sql } = one.app
const turn = (index: number) => (index % 2 ? one.call : two.call)
const ann = await createUser(one.app)

/** Inserts a session of Ann like a sign-in, but without the slow verification of the password. */
async function insertSession() {
  const id = randomUUID()
  await sql`
    insert into sessions (id, user_id, expires_at, absolute_expires_at)
    values (${id}, ${ann.id}, now() + interval '1 day', now() + interval '1 day')
  `
  const cookie = `refresh=${encodeRefreshToken({ sessionId: id, counter: 0 }, deriveKeys([JWT_SECRET])[0])}`
  return { id, cookie }
}

const passGrace = (id: string) =>
  sql`update sessions set rotated_at = rotated_at - interval '31 s' where id = ${id}`

t.test('20 concurrent refreshes on two nodes rotate once per grace period', async t => {
  let { id, cookie } = await insertSession()
  for (let round = 1; round <= ROUNDS; round++) {
    const replies = await times(TABS, index => refresh(turn(index), cookie))
    const cookies = new Set(replies.map(({ cookie }) => cookie))
    if (replies.some(({ status }) => status !== 200) || cookies.size !== 1) {
      t.fail(`round ${round}: ${replies.map(({ status }) => status)}, ${cookies.size} cookies`)
    }
    const [first = ''] = cookies
    cookie = first
    await passGrace(id)
  }
  const [row] = await sql`select counter from sessions where id = ${id}`
  t.equal(row?.counter, ROUNDS)
})

t.test('a refresh concurrent with a sign-out leaves no usable token', async t => {
  let won = 0
  await times(TABS, async index => {
    for (let round = 0; round < ROUNDS / TABS; round++) {
      const { cookie } = await insertSession()
      const [reply] = await Promise.all([
        refresh(turn(index), cookie),
        turn(index + 1)('POST', '/auth/signout', { cookie })
      ])
      if (reply.status === 200) won++
      else t.equal(reply.status, 403)
      for (const old of [cookie, reply.cookie]) {
        if (old) t.equal((await refresh(one.call, old)).status, 403)
      }
      const { accessToken } = reply.body
      if (!accessToken) continue
      for (const { call } of [one, two]) {
        await until(async () => (await me(call, accessToken)) === 401, 1000)
      }
    }
  })
  t.comment(`the refresh came first in ${won} of ${ROUNDS} rounds`)
})

t.test('refreshes concurrent with the end of their session leave no usable token', async t => {
  for (let round = 0; round < 20; round++) {
    const { id, cookie } = await insertSession()
    const [ended, ...replies] = await Promise.all([
      two.call('DELETE', `/auth/sessions/${id}`, { token: ann.token }),
      ...Array.from({ length: TABS }, (_, index) => refresh(turn(index), cookie))
    ])
    t.equal(ended?.status, 204)
    for (const reply of replies) {
      t.ok(reply.status === 200 || reply.status === 403)
      if (reply.status === 403) continue
      await until(async () => (await me(one.call, reply.body.accessToken)) === 401, 1000)
      t.equal((await refresh(two.call, reply.cookie)).status, 403)
    }
  }
})

t.test('a token reused after the grace period ends its session everywhere', async t => {
  const { id, cookie } = await insertSession()
  const next = await refresh(one.call, cookie)
  await passGrace(id)
  const newest = await refresh(one.call, next.cookie)
  t.equal(await me(two.call, newest.body.accessToken), 200)
  const streams = await Promise.all([
    openFeed(t, one.url, { cookie: newest.cookie }),
    openFeed(t, two.url, { authorization: `Bearer ${newest.body.accessToken}` })
  ])

  const replies = await times(TABS, index => refresh(turn(index), cookie))
  t.strictSame(new Set(replies.map(({ status }) => status)), new Set([403]))
  t.ok(replies.every(({ cookie }) => cookie === ''))
  t.equal((await refresh(two.call, newest.cookie)).status, 403, 'the newest token is refused, too')
  for (const stream of streams) {
    t.match((await stream.next('session.ended')).data, { reason: 'reused' })
    await stream.ended
  }
  t.equal(await me(two.call, newest.body.accessToken), 401)
  const ends = await sql`
    select from events
    where kind = 'session.ended'
    and after ->> 'sessionId' = ${id}
  `
  t.equal(ends.length, 1)
})

t.test('another node refuses the tokens of an ended session within 1 s', async t => {
  const delays: number[] = []
  for (let round = 0; round < 20; round++) {
    const { cookie } = await insertSession()
    const { accessToken } = (await refresh(one.call, cookie)).body
    t.equal(await me(two.call, accessToken), 200)
    await one.call('POST', '/auth/signout', { cookie })
    t.equal(
      await me(one.call, accessToken),
      401,
      'the node that ended the session refuses its token at once'
    )
    const since = performance.now()
    await until(async () => (await me(two.call, accessToken)) === 401, 1000)
    delays.push(performance.now() - since)
  }
  t.comment(`at most ${Math.max(...delays).toFixed(0)} ms`)

  const queries: string[] = []
  two.app.sql.options.debug = (_connection, query) => queries.push(query)
  for (let index = 0; index < 10; index++) await me(two.call, ann.token)
  two.app.sql.options.debug = false
  t.notOk(queries.some(query => /sessions/.test(query)))
})

t.test('a refresh works again after its node was killed before the response', async t => {
  const DATABASE_URL = await createDatabase(t)
  const env = { DATABASE_URL, JWT_SECRET }
  const after = await startNode(t, env)
  const { token, cookie } = await createUser(after.app)

  const service = spawnService(t, env, 'test/support/killed-in-refresh.ts')
  const start = () => /Concord +(http:\S+)\n/.exec(service.output.stdout)
  const [, base = ''] = await until(start, START_MS)
  await t.rejects(refresh(httpClient(t, base), cookie))
  t.strictSame(await service.exited, [null, 'SIGKILL'])
  const [row] = await after.app.sql`select counter from sessions where id = ${sessionIdOf(token)}`
  t.equal(row?.counter, 1, 'the rotation was committed')

  const again = await refresh(after.call, cookie)
  t.equal(again.status, 200)
  t.equal(await me(after.call, again.body.accessToken), 200)
  await after.app.sql`update sessions set rotated_at = rotated_at - interval '31 s'`
  t.equal((await refresh(after.call, again.cookie)).status, 200)
})

t.test('no session is lost while secrets are rotated under load', async t => {
  const [old, next] = [
    'the old secret of the service that retires',
    'the new secret of the service from now on'
  ]
  const DATABASE_URL = await createDatabase(t)
  // First every node accepts the new secret, then one node after the other signs with it.
  const before = await startNode(t, { DATABASE_URL, JWT_SECRET: `${old},${next}` })
  const after = await startNode(t, { DATABASE_URL, JWT_SECRET: `${next},${old}` })
  const users = await times(TABS, () => createUser(before.app))
  await times(TABS, async index => {
    let { token, cookie } = users[index] as { token: string; cookie: string }
    for (let round = 0; round < 10; round++) {
      const { call } = (round + index) % 2 ? before : after
      t.equal(await me(call, token), 200)
      const reply = await refresh(call, cookie)
      t.equal(reply.status, 200)
      token = reply.body.accessToken
      cookie = reply.cookie
    }
    const reissued = await refresh(after.call, cookie)
    const only = deriveKeys([next])[0]
    t.ok(JSON.parse(atob(reissued.body.accessToken.split('.')[0])).kid === only.kid)
  })
})
