import { hash } from '@node-rs/argon2'
import t from 'tap'
import { startNode } from '../../support/app.ts'
import { createDatabase } from '../../support/database.ts'
import { type HttpClient, httpClient } from '../../support/http-client.ts'
import { spawnService, waitForStart } from '../../support/process.ts'
import { times } from '../../support/times.ts'
import { until } from '../../support/until.ts'
import { createUser } from '../../support/users.ts'

const { app, call } = await startNode(t)
const signIn = (call: HttpClient, { email, password }: { email: string; password: string }) =>
  call('POST', '/auth/signin', { body: { email, password } })
const store = (id: string, hash: string | null) =>
  app.sql`update users set password_hash = ${hash} where id = ${id}`

t.test('twenty concurrent sign-ins that upgrade a weak hash return 200', async t => {
  const ann = await createUser(app)
  await store(ann.id, await hash(ann.password, { memoryCost: 4096, timeCost: 1 }))
  const replies = await times(20, () => signIn(call, ann))
  t.strictSame(new Set(replies.map(({ status }) => status)), new Set([200]))
  const [user] = await app.sql`select password_hash from users where id = ${ann.id}`
  t.match(user?.password_hash, /m=19456,t=2,p=1/)
  t.equal((await signIn(call, ann)).status, 200)
})

t.test('a sign-in with a damaged or too expensive password hash returns 401', async t => {
  const ann = await createUser(app)
  const good = await hash(ann.password, { memoryCost: 1024, timeCost: 1 })
  const digest = good.split('$').slice(4).join('$')
  const damaged = [
    '',
    ' ',
    'x',
    '$',
    ann.password,
    '$argon2id$',
    '$argon2id$v=19$m=19456,t=2,p=1$$',
    `$argon2id$v=19$m=4294967295,t=2,p=1$${digest}`,
    `$argon2id$v=19$m=19456,t=4294967295,p=1$${digest}`,
    `$argon2id$v=19$m=19456,t=2,p=255$${digest}`,
    `$argon2id$v=19$m=0,t=0,p=0$${digest}`,
    '$2b$10$abcdefghijklmnopqrstuuLrVmPLO2Wn0nFHaYQmKvG2GkrS0Dv1S',
    good.slice(0, -1),
    good.slice(0, 30),
    `${good}=`,
    `x${good}`,
    '\u{1f600}'.repeat(100)
  ]
  for (const stored of damaged) {
    await store(ann.id, stored)
    const reply = await signIn(call, ann)
    t.equal(reply.status, 401, stored)
    t.equal(reply.body.code, 'BAD_CREDENTIALS')
    const body = { password: ann.password }
    t.equal((await call('DELETE', '/users/me', { token: ann.token, body })).status, 401)
  }
  await store(ann.id, good)
  t.equal((await signIn(call, ann)).status, 200)
})

t.test('the log line about a damaged password hash omits the hash', async t => {
  const DATABASE_URL = await createDatabase(t)
  const service = spawnService(t, { DATABASE_URL, JWT_SECRET: 'x'.repeat(32), LOG_LEVEL: 'error' })
  const { address } = await waitForStart(service)
  const other = httpClient(t, address)
  const damaged = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ'
  const { app } = await startNode(t, { DATABASE_URL, JWT_SECRET: 'x'.repeat(32) })
  const ann = await createUser(app)
  await app.sql`update users set password_hash = ${damaged}`
  t.equal((await signIn(other, ann)).status, 401)
  const line = await until(() => /^\{.*"password\.unreadable".*$/m.exec(service.output.stdout))
  t.match(JSON.parse(line[0]), { level: 50, event: 'password.unreadable', userId: ann.id })
  t.notOk(service.output.stdout.includes('c2FsdHNhbHQ'))
})

t.test('sign-ins beyond the queue return 503, later ones 200', async t => {
  const wide = await startNode(t)
  const ann = await createUser(wide.app)
  // Four clients of 50 sockets each, because one would not fill the queue.
  const clients = Array.from({ length: 4 }, () => httpClient(t, wide.url))
  const replies = await times(200, index => signIn(clients[index % 4] as HttpClient, ann))
  const byStatus = Map.groupBy(replies, ({ status }) => status)
  t.strictSame([...byStatus.keys()].sort(), [200, 503])
  const refused = byStatus.get(503) ?? []
  t.ok(refused.length > 0)
  for (const { headers, body } of refused) {
    t.equal(body.code, 'TOO_BUSY')
    t.match(headers['retry-after'], /^[1-9]\d*$/)
  }
  t.equal((await signIn(wide.call, ann)).status, 200, 'a later sign-in succeeds')
})
