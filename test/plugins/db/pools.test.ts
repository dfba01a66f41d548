import t from 'tap'
import { build, database, listen, person, until } from '../../support/app.ts'
import { tcpProxy } from '../../support/tcp-proxy.ts'

t.test('a database that went without a word is asked anew', async t => {
  const line = await tcpProxy(t, await database(t))
  const app = await build(t, { DATABASE_URL: line.url })
  const url = await listen(t, app)
  const { headers } = await person(app)
  const ask = async () => (await fetch(`${url}/users/me`, { headers })).status
  const size = 8
  const held = await Promise.all(Array.from({ length: size }, () => app.sql.reserve()))
  for (const one of held) one.release()
  line.lose()
  const waiting = Array.from({ length: 2 * size }, ask)
  t.strictSame(new Set(await Promise.all(waiting)), new Set([503]), 'who waited may come again')
  t.equal(await ask(), 200)
  await until(() => app.pubsub.health().listening, 20_000)
  await until(async () => (await app.inject('/health/ready')).statusCode === 200)
})
