import t from 'tap'
import { database, until } from '../../support/app.ts'
import { newcomer, node, sessionOf } from '../../support/http-client.ts'
import { openFeed } from '../../support/live-clients.ts'

t.test('a session that expires ends its streams on every node, and leaves the table', async t => {
  const DATABASE_URL = await database(t)
  const [one, two] = [await node(t, { DATABASE_URL }), await node(t, { DATABASE_URL })]
  const [ann, bob] = [await newcomer(one.call), await newcomer(one.call)]
  const streams = await Promise.all(
    [one, two].map(({ base }) => openFeed(t, base, { cookie: ann.cookie }))
  )
  const { sql } = one.app
  await sql`update sessions set expires_at = now() where id = ${sessionOf(ann.token)}`
  await sql`
    insert into throttles (key, count, allowed, resets_at)
    values ('over', 1, 10, now()), ('not over', 1, 10, now() + interval '1 minute')
  `
  for (const stream of streams) {
    t.match((await stream.next('session.ended')).data, { reason: 'expired' })
    await stream.ended
  }
  const left = await sql`select id from sessions`
  t.strictSame([...left], [{ id: sessionOf(bob.token) }])
  await until(async () => (await sql`select from throttles`).length === 1)

  // Its access token would have expired with it: it is not among the revoked.
  t.notOk(one.app.endedSessions.has(sessionOf(ann.token)))
})
