import t from 'tap'
import { startNode } from '../../support/app.ts'
import { createDatabase } from '../../support/database.ts'
import { openFeed } from '../../support/sse-client.ts'
import { until } from '../../support/until.ts'
import { createUser, sessionIdOf } from '../../support/users.ts'

t.test('an expired session is deleted and ends its streams on every node', async t => {
  const DATABASE_URL = await createDatabase(t)
  const [one, two] = [await startNode(t, { DATABASE_URL }), await startNode(t, { DATABASE_URL })]
  const [ann, bob] = [await createUser(one.app), await createUser(one.app)]
  const streams = await Promise.all(
    [one, two].map(({ url }) => openFeed(t, url, { cookie: ann.cookie }))
  )
  const { sql } = one.app
  await sql`update sessions set expires_at = now() where id = ${sessionIdOf(ann.token)}`
  await sql`
    insert into throttles (key, count, allowed, resets_at)
    values ('over', 1, 10, now()), ('not over', 1, 10, now() + interval '1 minute')
  `
  for (const stream of streams) {
    t.match((await stream.next('session.ended')).data, { reason: 'expired' })
    await stream.ended
  }
  const left = await sql`select id from sessions`
  t.strictSame([...left], [{ id: sessionIdOf(bob.token) }])
  await until(async () => (await sql`select from throttles`).length === 1)

  // The access token expired with the session, so the node does not store that the session has ended.
  t.notOk(one.app.endedSessions.has(sessionIdOf(ann.token)))
})
