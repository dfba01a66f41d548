import t from 'tap'
import { startNode } from '../../support/app.ts'
import { createDatabase } from '../../support/database.ts'
import type { HttpResponse } from '../../support/http-client.ts'
import { openFeed } from '../../support/sse-client.ts'
import { times } from '../../support/times.ts'
import { until } from '../../support/until.ts'
import { createUser, signIn } from '../../support/users.ts'

const { app, url, call } = await startNode(t)
const NEXT = 'a horse of another colour'

const change = (token: string, current: unknown, next: unknown) =>
  call('POST', '/auth/password', { token, body: { current, next } })
const trySignIn = (email: string, password: string) =>
  call('POST', '/auth/signin', { body: { email, password } })
const me = async (token: string) => (await call('GET', '/users/me', { token })).status

t.test('a new password replaces the old one and ends other sessions', async t => {
  const ann = await createUser(app)
  const other = await signIn(app, ann)
  const feed = await openFeed(t, url, { cookie: other.cookie })

  const { status, text } = await change(ann.token, ann.password, NEXT)
  t.equal(status, 204)
  t.equal(text, '')
  t.match((await feed.next('session.ended')).data, { reason: 'password_changed' })
  t.equal(await me(other.token), 401)
  t.equal((await call('POST', '/auth/refresh', { cookie: other.cookie })).status, 403)
  t.equal(await me(ann.token), 200)
  t.equal((await call('POST', '/auth/refresh', { cookie: ann.cookie })).status, 200)
  t.equal((await trySignIn(ann.email, ann.password)).status, 401)
  t.equal((await trySignIn(ann.email, NEXT)).status, 200)
})

t.test('a wrong current or invalid next password changes nothing', async t => {
  const ann = await createUser(app)
  const other = await signIn(app, ann)
  const wrong = await change(ann.token, NEXT, NEXT)
  t.equal(wrong.status, 401)
  t.equal(wrong.body.code, 'WRONG_PASSWORD')
  t.equal(wrong.headers['www-authenticate'], 'Bearer')
  for (const [current, next] of [
    [ann.password, 'short'],
    [ann.password, undefined],
    [ann.password, 'x'.repeat(1025)],
    [ann.password, 12345678],
    ['', NEXT],
    [undefined, NEXT],
    [null, NEXT]
  ]) {
    t.equal((await change(ann.token, current, next)).status, 400)
  }
  const body = { current: ann.password, next: NEXT }
  t.equal((await call('POST', '/auth/password', { cookie: ann.cookie, body })).status, 401)
  t.equal(await me(other.token), 200)
  t.equal((await trySignIn(ann.email, ann.password)).status, 200)
})

t.test('of two concurrent password changes, one returns 204 and one 401', async t => {
  await times(10, async index => {
    const ann = await createUser(app)
    const nexts = ['first of the two', 'second of the two']
    const replies = await Promise.all(nexts.map(next => change(ann.token, ann.password, next)))
    t.strictSame(replies.map(({ status }) => status).sort(), [204, 401], `round ${index}`)
    const won = nexts[replies.findIndex(({ status }) => status === 204)] ?? ''
    t.equal((await trySignIn(ann.email, won)).status, 200)
  })
})

t.test('a sign-in concurrent with a password change leaves no usable session', async t => {
  const DATABASE_URL = await createDatabase(t)
  const [one, two] = [await startNode(t, { DATABASE_URL }), await startNode(t, { DATABASE_URL })]
  const outcomes = { ended: 0, refused: 0 }
  await times(20, async () => {
    const ann = await createUser(one.app)
    let { password } = ann
    for (let round = 0; round < 5; round++) {
      const next = `password number ${round}`
      const body = { email: ann.email, password }
      const [changed, signedIn] = await Promise.all([
        one.call('POST', '/auth/password', { token: ann.token, body: { current: password, next } }),
        two.call('POST', '/auth/signin', { body })
      ])
      t.equal(changed.status, 204)
      password = next
      if (signedIn.status === 401) {
        outcomes.refused++
        continue
      }
      outcomes.ended++
      const { cookie, body: received } = signedIn
      t.equal((await two.call('POST', '/auth/refresh', { cookie })).status, 403)
      t.equal((await one.call('GET', '/users/me', { token: received.accessToken })).status, 401)
    }
  })
  t.comment(outcomes)
})

t.test('a sign-in that verified the old password leaves no usable session', async t => {
  for (const isLate of [true, false]) {
    const ann = await createUser(app)
    const attempts = [
      () => change(ann.token, ann.password, NEXT),
      () => trySignIn(ann.email, ann.password)
    ]
    if (!isLate) attempts.reverse()
    // Both requests have verified the password and wait for the row, one behind the other.
    const replies: Promise<HttpResponse>[] = []
    await app.sql.begin(async sql => {
      await sql`select from users where id = ${ann.id} for update`
      for (const attempt of attempts) {
        replies.push(attempt())
        await until(async () => (await waiting()) === replies.length)
      }
    })
    const [first, second] = await Promise.all(replies)
    const [changed, signedIn] = isLate ? [first, second] : [second, first]
    t.equal(changed?.status, 204)
    // Both requests retry when the row is free, in no particular order.
    t.ok(signedIn?.status === 401 || (await me(signedIn?.body.accessToken)) === 401)
  }
})

/** Returns the number of statements that wait for a row. */
async function waiting(): Promise<number> {
  const rows = await app.sql`
    select from pg_stat_activity
    where datname = current_database()
    and wait_event_type = 'Lock'
  `
  return rows.length
}
