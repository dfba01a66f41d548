import t from 'tap'
import { build, listen } from '../../support/app.ts'
import { createDatabase } from '../../support/database.ts'
import { tcpProxy } from '../../support/tcp-proxy.ts'
import { until } from '../../support/until.ts'
import { createUser } from '../../support/users.ts'

t.test('pending requests return 503 when database connections stall, later ones 200', async t => {
  const proxy = await tcpProxy(t, await createDatabase(t))
  const app = await build(t, { DATABASE_URL: proxy.url })
  const url = await listen(app)
  const { headers } = await createUser(app)
  const readStatus = async () => (await fetch(`${url}/users/me`, { headers })).status
  const size = 8
  const held = await Promise.all(Array.from({ length: size }, () => app.sql.reserve()))
  for (const connection of held) connection.release()
  proxy.stall()
  const waiting = Array.from({ length: 2 * size }, readStatus)
  t.strictSame(new Set(await Promise.all(waiting)), new Set([503]), 'pending requests return 503')
  t.equal(await readStatus(), 200)
  await until(() => app.pubsub.health().listening, 20_000)
  await until(async () => (await app.inject('/health/ready')).statusCode === 200)
})
