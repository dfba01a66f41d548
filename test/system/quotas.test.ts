import { randomUUID } from 'node:crypto'
import t from 'tap'
import { build, listen } from '../support/app.ts'
import { openLive } from '../support/live-client.ts'
import { openFeed } from '../support/sse-client.ts'
import { until } from '../support/until.ts'
import { createUser } from '../support/users.ts'

const most = 200

t.test('a stream or socket beyond 200 of one user returns 429', async t => {
  const app = await build(t, { RATE_LIMIT: 'on' })
  const url = await listen(app)
  const [ann, bob] = [await createUser(app, 'Ann'), await createUser(app, 'Bob')]
  const times = <T>(count: number, make: () => Promise<T>) =>
    Promise.all(Array.from({ length: count }, make))

  const feeds = await times(most, () => openFeed(t, url, ann.headers))
  t.strictSame(new Set(feeds.map(({ response }) => response.status)), new Set([200]))
  const refused = await openFeed(t, url, ann.headers)
  t.equal(refused.response.status, 429)
  t.ok(Number(refused.response.headers.get('retry-after')) > 0)
  await times(most, () => openLive(t, url, ann.headers))
  await t.rejects(openLive(t, url, { cookie: ann.cookie }), /429/)

  t.equal(
    (await openFeed(t, url, bob.headers)).response.status,
    200,
    'another user has their own quota'
  )
  await openLive(t, url, bob.headers)
  feeds[0]?.stop()
  await until(async () => (await openFeed(t, url, ann.headers)).response.status === 200)
})

t.test('a checklist beyond 100 on one socket returns TOO_MANY_CHECKLISTS', async t => {
  const app = await build(t)
  const url = await listen(app)
  const ann = await createUser(app)
  const ids = Array.from({ length: 101 }, () => randomUUID())
  await app.sql`
    with project as (insert into projects (name) values ('Fair') returning id),
    member as (
      insert into project_members (project_id, user_id, role)
      select id, ${ann.id}, 'owner'
      from project
    )
    insert into checklists (id, project_id, title)
    select list, project.id, 'To buy'
    from project, unnest(${ids}::uuid[]) as list`
  const live = await openLive(t, url, ann.headers)
  const [one = '', ...others] = ids
  for (const id of others) t.equal((await live.open(id)).type, 'snapshot')
  t.match(await live.open(one), { type: 'error', code: 'TOO_MANY_CHECKLISTS', checklistId: one })
  live.send({ type: 'close', checklistId: others[0] })
  t.equal((await live.open(one)).type, 'snapshot')
})

t.test('RATE_LIMIT=off turns off the quota of streams', async t => {
  const app = await build(t, { RATE_LIMIT: 'off' })
  const url = await listen(app)
  const ann = await createUser(app)
  const feeds = await Promise.all(
    Array.from({ length: most + 1 }, () => openFeed(t, url, ann.headers))
  )
  t.strictSame(new Set(feeds.map(({ response }) => response.status)), new Set([200]))
})
