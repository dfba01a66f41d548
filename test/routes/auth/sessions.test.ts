import { randomUUID } from 'node:crypto'
import t from 'tap'
import { startNode } from '../../support/app.ts'
import { openFeed } from '../../support/sse-client.ts'
import { times } from '../../support/times.ts'
import { createUser, sessionIdOf, signIn } from '../../support/users.ts'

const { app, url, call } = await startNode(t)

const list = async (token: string) => {
  const { body } = await call('GET', '/auth/sessions', { token })
  return body.sessions as { id: string; current: boolean; lastUsedAt: string }[]
}
const me = async (token: string) => (await call('GET', '/users/me', { token })).status
const refresh = async (cookie: string) => (await call('POST', '/auth/refresh', { cookie })).status

t.test('a user lists their sessions', async t => {
  const ann = await createUser(app)
  const headers = { 'user-agent': `phone ${'x'.repeat(300)}` }
  const { email, password } = ann
  const phone = await call('POST', '/auth/signin', { body: { email, password }, headers })

  const { status, body: seen } = await call('GET', '/auth/sessions', { token: ann.token })
  t.equal(status, 200)
  t.strictSame(Object.keys(seen), ['sessions'])
  const [first, second] = seen.sessions
  t.strictSame(
    [first.id, second.id],
    [sessionIdOf(phone.body.accessToken), sessionIdOf(ann.token)],
    'the last used session is first'
  )
  t.strictSame(Object.keys(first).sort(), [
    'createdAt',
    'current',
    'id',
    'ip',
    'lastUsedAt',
    'userAgent'
  ])
  t.match(first, {
    ip: '127.0.0.1',
    userAgent: headers['user-agent'].slice(0, 256),
    current: false
  })
  t.match(second, { current: true, createdAt: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/ })

  t.equal(await refresh(ann.cookie), 200)
  const [used] = await list(ann.token)
  t.equal(used?.id, second.id, 'a refresh counts as a use')
})

t.test('a user can end a session, the second attempt returns 404', async t => {
  const ann = await createUser(app)
  const phone = await signIn(app, ann)
  const feed = await openFeed(t, url, { cookie: phone.cookie })
  const path = `/auth/sessions/${sessionIdOf(phone.token)}`
  const upperCasePath = `/auth/sessions/${sessionIdOf(phone.token).toUpperCase()}`

  const { status, text } = await call('DELETE', upperCasePath, { token: ann.token })
  t.equal(status, 204)
  t.equal(text, '')
  t.equal(await me(phone.token), 401)
  t.equal(await refresh(phone.cookie), 403)
  t.match((await feed.next('session.ended')).data, { reason: 'revoked' })
  await feed.ended
  t.equal((await list(ann.token)).length, 1)
  t.equal(await me(ann.token), 200)

  const again = await call('DELETE', path, { token: ann.token })
  t.equal(again.status, 404)
  t.equal(again.body.code, 'SESSION_NOT_FOUND')
})

t.test("another user's session returns the same 404 as an unknown one", async t => {
  const [ann, eve] = [await createUser(app), await createUser(app)]
  const ofOther = await call('DELETE', `/auth/sessions/${sessionIdOf(ann.token)}`, eve)
  const unknown = await call('DELETE', `/auth/sessions/${randomUUID()}`, eve)
  t.equal(ofOther.status, 404)
  t.equal(ofOther.text, unknown.text)
  t.equal(await me(ann.token), 200)
  t.equal(await refresh(ann.cookie), 200)
  t.notOk((await list(eve.token)).some(({ id }) => id === sessionIdOf(ann.token)))
  t.equal((await call('DELETE', '/auth/sessions/1', eve)).status, 400)
  for (const method of ['GET', 'DELETE']) {
    t.equal((await call(method, '/auth/sessions')).status, 401)
    t.equal((await call(method, '/auth/sessions', { cookie: ann.cookie })).status, 401)
  }
})

t.test('a user ends all other sessions', async t => {
  const [ann, bob] = [await createUser(app), await createUser(app)]
  const others = await times(3, () => signIn(app, ann))
  t.equal((await call('DELETE', '/auth/sessions', { token: ann.token })).status, 204)
  for (const { token, cookie } of others) {
    t.equal(await me(token), 401)
    t.equal(await refresh(cookie), 403)
  }
  t.equal(await me(ann.token), 200)
  t.equal(await refresh(ann.cookie), 200)
  t.equal(await me(bob.token), 200)
  t.strictSame(
    (await list(ann.token)).map(({ current }) => current),
    [true]
  )
})

t.test('a user ends the current session', async t => {
  const ann = await createUser(app)
  const path = `/auth/sessions/${sessionIdOf(ann.token)}`
  t.equal((await call('DELETE', path, { token: ann.token })).status, 204)
  t.equal(await me(ann.token), 401)
})

t.test('a sign-in ends the session of the cookie it sends', async t => {
  const [ann, bob] = [await createUser(app), await createUser(app)]
  const { email, password } = bob
  const other = await call('POST', '/auth/signin', {
    body: { email, password },
    cookie: ann.cookie
  })
  t.equal(other.status, 200)
  t.not(sessionIdOf(other.body.accessToken), sessionIdOf(ann.token))
  t.equal(await me(ann.token), 401)
  t.equal(await refresh(ann.cookie), 403)
  t.equal(await me(bob.token), 200, 'another session of that user stays active')

  const wrong = { email, password: 'not that' }
  const denied = await call('POST', '/auth/signin', { body: wrong, cookie: other.cookie })
  t.equal(denied.status, 401)
  t.equal(await me(other.body.accessToken), 200, 'a failed sign-in ends nothing')

  const again = await call('POST', '/auth/signin', {
    body: { email, password },
    cookie: `refresh=x`
  })
  t.equal(again.status, 200)
})

t.test('a sign-in beyond 50 sessions ends the sessions idle for longest', async t => {
  const ann = await createUser(app)
  const idle = await signIn(app, ann)
  await app.sql`update sessions set last_used_at = now() - interval '1 day' where id = ${sessionIdOf(idle.token)}`
  await app.sql`
    insert into sessions (id, user_id, last_used_at, expires_at, absolute_expires_at)
    select gen_random_uuid(), ${ann.id}, now() - interval '1 hour', now() + interval '1 day', now() + interval '1 day'
    from generate_series(1, 48)
  `
  t.equal((await list(ann.token)).length, 50)
  const added = await times(20, () => signIn(app, ann))
  const left = (await list(ann.token)).map(({ id }) => id)
  t.equal(left.length, 50)
  for (const { token } of added) t.ok(left.includes(sessionIdOf(token)))
  t.ok(left.includes(sessionIdOf(ann.token)))
  t.equal(await me(idle.token), 401)
  t.equal(await refresh(idle.cookie), 403)
})
