import t from 'tap'
import { build } from '../../support/app.ts'
import { createUser, signIn } from '../../support/users.ts'

type Headers = { authorization: string }

/** The number of writes of a user that succeed at once, and of further writes that are delayed, not refused. */
const [burst, delayed] = [300, 60]

t.test('writes of one user beyond the rate are delayed, then return 429', async t => {
  const app = await build(t, { RATE_LIMIT: 'on' })
  const [ann, bob] = [await createUser(app), await createUser(app, 'Bob')]
  const other = await signIn(app, ann)
  const write = ({ headers }: { headers: Headers }) =>
    app.inject({ method: 'PATCH', url: '/users/me', headers, payload: { name: 'Ann' } })
  const writes = (count: number, by: { headers: Headers }) =>
    Promise.all(Array.from({ length: count }, () => write(by)))

  const [replies, others, reply, read] = await Promise.all([
    writes(burst + delayed + 100, ann),
    writes(30, other),
    write(bob),
    app.inject({ url: '/users/me', headers: ann.headers })
  ])
  const refused = replies.filter(({ statusCode }) => statusCode !== 200)
  t.ok(refused.length > 0 && refused.length <= 100, `${refused.length} refused`)
  for (const reply of refused) {
    t.equal(reply.statusCode, 429)
    t.equal(reply.json().code, 'TOO_OFTEN')
    t.ok(Number(reply.headers['retry-after']) > 0)
  }
  t.ok(
    others.some(({ statusCode }) => statusCode === 429),
    'all sessions of a user share one rate'
  )
  t.equal(reply.statusCode, 200, 'another user is not limited')
  t.equal(read.statusCode, 200, 'reads are not limited')
})

t.test('a user can end sessions during a flood of writes', async t => {
  const app = await build(t, { RATE_LIMIT: 'on' })
  const ann = await createUser(app)
  const { headers } = ann
  const flood = Array.from({ length: burst + delayed + 100 }, () =>
    app.inject({ method: 'POST', url: '/projects', headers, payload: { name: 'Fair' } })
  )
  t.equal((await app.inject({ method: 'DELETE', url: '/auth/sessions', headers })).statusCode, 204)
  const statuses = new Set((await Promise.all(flood)).map(({ statusCode }) => statusCode))
  t.strictSame([...statuses].sort(), [201, 429])
})

t.test('RATE_LIMIT=off turns off the limit of writes', async t => {
  const app = await build(t, { RATE_LIMIT: 'off' })
  const { headers } = await createUser(app)
  const replies = await Promise.all(
    Array.from({ length: burst + delayed + 100 }, () =>
      app.inject({ method: 'PATCH', url: '/users/me', headers, payload: { name: 'Ann' } })
    )
  )
  t.strictSame(new Set(replies.map(({ statusCode }) => statusCode)), new Set([200]))
})
