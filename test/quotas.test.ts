import t from 'tap'
import { openFeed, openLive } from './clients.ts'
import { build, listen, person, until } from './helper.ts'

const most = 200

t.test('a user has 200 streams and 200 sockets at most, and is told so', async t => {
  const app = await build(t, { RATE_LIMIT: 'on' })
  const url = await listen(t, app)
  const [ann, bob] = [await person(app, 'Ann'), await person(app, 'Bob')]
  const times = <T>(count: number, make: () => Promise<T>) =>
    Promise.all(Array.from({ length: count }, make))

  const feeds = await times(most, () => openFeed(t, url, ann.headers))
  t.strictSame(new Set(feeds.map(({ response }) => response.status)), new Set([200]))
  const refused = await openFeed(t, url, ann.headers)
  t.equal(refused.response.status, 429)
  t.ok(Number(refused.response.headers.get('retry-after')) > 0)
  await times(most, () => openLive(t, url, ann.headers))
  await t.rejects(openLive(t, url, { cookie: ann.cookie }), /429/)

  t.equal((await openFeed(t, url, bob.headers)).response.status, 200, 'others are not concerned')
  await openLive(t, url, bob.headers)
  feeds[0]?.stop()
  await until(async () => (await openFeed(t, url, ann.headers)).response.status === 200)
})

t.test('load tests may have more', async t => {
  const app = await build(t, { RATE_LIMIT: 'off' })
  const url = await listen(t, app)
  const ann = await person(app)
  const feeds = await Promise.all(
    Array.from({ length: most + 1 }, () => openFeed(t, url, ann.headers))
  )
  t.strictSame(new Set(feeds.map(({ response }) => response.status)), new Set([200]))
})
