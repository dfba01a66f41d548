import { randomUUID } from 'node:crypto'
import t from 'tap'
import { build } from '../../support/app.ts'
import { PASSWORD } from '../../support/users.ts'

const app = await build(t)
const newAccount = () => ({ email: `${randomUUID()}@example.com`, password: PASSWORD, name: 'Ann' })
const signUp = (payload: object) => app.inject({ method: 'POST', url: '/auth/signup', payload })

t.test('a sign-up returns the account without its password', async t => {
  const account = newAccount()
  const reply = await signUp(account)
  t.equal(reply.statusCode, 201)
  const { id, ...rest } = reply.json()
  t.match(id, /^[\da-f-]{36}$/)
  t.strictSame(rest, { email: account.email, name: 'Ann' })
  t.equal(reply.headers['cache-control'], 'no-store')
  t.equal(reply.headers['set-cookie'], undefined)
})

t.test('a sign-up with a taken email returns 409, also in upper case', async t => {
  const account = newAccount()
  t.equal((await signUp(account)).statusCode, 201)
  for (const email of [account.email, account.email.toUpperCase()]) {
    const reply = await signUp({ ...account, email })
    t.equal(reply.statusCode, 409)
    t.equal(reply.json().code, 'EMAIL_TAKEN')
  }
})

t.test('of 50 concurrent sign-ups with one email, one returns 201', async t => {
  const account = newAccount()
  const replies = await Promise.all(Array.from({ length: 50 }, () => signUp(account)))
  const statuses = replies.map(({ statusCode }) => statusCode).sort()
  t.strictSame(statuses, [201, ...Array(49).fill(409)])
  const users = await app.sql`select id from users where email = ${account.email}`
  t.equal(users.length, 1)
})

t.test('a sign-up with an invalid field returns 400 and names it', async t => {
  const bad: [string, unknown[]][] = [
    [
      'email',
      [
        undefined,
        null,
        '',
        'ann',
        'ann@',
        '@example.com',
        'ann@example',
        'ann@@example.com',
        'a b@example.com',
        ' ann@example.com',
        'ann@example.com\n',
        'ann@exämple.com',
        'änn@example.com',
        'ann@example.com\u0130',
        `${'a'.repeat(250)}@example.com`,
        1,
        true,
        ['ann@example.com'],
        {}
      ]
    ],
    ['password', [undefined, null, '', 'short', 'x'.repeat(1025), 12345678, [PASSWORD], {}]],
    ['name', [undefined, null, '', ' ', '\t\n ', 'x'.repeat(201), 1, ['Ann'], {}]]
  ]
  for (const [field, values] of bad) {
    for (const value of values) {
      const reply = await signUp({ ...newAccount(), [field]: value })
      t.equal(reply.statusCode, 400, `${field} ${JSON.stringify(value)}`)
      t.equal(reply.json().code, 'FST_ERR_VALIDATION')
      t.match(reply.json().message, field)
    }
  }
})

t.test('a sign-up whose body is not an account returns 400 or 415', async t => {
  for (const payload of [{}, [], { ...newAccount(), admin: true }]) {
    t.equal((await signUp(payload)).statusCode, 400)
  }
  for (const payload of ['null', '"x"', '1', '', '{', '{"email":"a@b.c","email":1}']) {
    const headers = { 'content-type': 'application/json' }
    const reply = await app.inject({ method: 'POST', url: '/auth/signup', payload, headers })
    t.equal(reply.statusCode, 400, payload)
  }
  const text = await app.inject({ method: 'POST', url: '/auth/signup', payload: 'email=a' })
  t.equal(text.statusCode, 415)
})

t.test('a sign-up accepts hostile strings as name and password', async t => {
  const hostile = [
    "'; drop table users; --",
    '<script>alert(1)</script>',
    '#{7*7}{{7*7}}%s%n%00',
    '../../../etc/passwd',
    '__proto__',
    'Ωμέγα 名前 👩‍👩‍👧 \u202e',
    '\u0301'.repeat(100)
  ]
  for (const text of hostile) {
    const reply = await signUp({ ...newAccount(), name: text, password: text.padEnd(7, '.') })
    t.equal(reply.statusCode, 201, text)
    t.equal(reply.json().name, text.trim())
  }
})

t.test('blanks around a name are removed', async t => {
  t.equal((await signUp({ ...newAccount(), name: '  Ann  O. ' })).json().name, 'Ann  O.')
})

t.test('PASSWORD_MIN_LENGTH counts characters, not code units', async t => {
  const strict = await build(t, { PASSWORD_MIN_LENGTH: '12' })
  for (const [password, status] of [
    ['12345678901', 400],
    ['👩👩👩👩👩👩', 400],
    ['123456789012', 201]
  ] as const) {
    const payload = { ...newAccount(), password }
    const reply = await strict.inject({ method: 'POST', url: '/auth/signup', payload })
    t.equal(reply.statusCode, status)
  }
})
