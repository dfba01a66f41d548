import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { build, listen, person, until } from '../support/app.ts'
import { openFeed, openLive } from '../support/live-clients.ts'
import { caller } from '../support/team.ts'

/** The value of a metric, by its name with labels. */
async function value(app: FastifyInstance, name: string): Promise<number> {
  const { payload } = await app.inject({ url: '/metrics' })
  const line = payload.split('\n').find(one => one.startsWith(`concord_${name} `))
  return Number(line?.split(' ').at(-1))
}

t.test('GET /metrics counts what is delivered, to whom and how fast', async t => {
  const app = await build(t)
  const url = await listen(t, app)
  const ann = await person(app)
  const { statusCode, headers, payload } = await app.inject({ url: '/metrics' })
  t.equal(statusCode, 200)
  t.match(headers['content-type'], /^text\/plain; version=0\.0\.4/)
  t.match(payload, /# TYPE concord_commit_to_write_seconds histogram/)
  t.equal(await value(app, 'listener_up'), 1)
  t.equal(await value(app, 'listener_connects_total'), 1)

  const feed = await openFeed(t, url, ann.headers)
  await feed.next('ready')
  await openLive(t, url, ann.headers)
  await until(async () => (await value(app, 'streams{state="live"}')) === 1)
  t.equal(await value(app, 'sockets{state="live"}'), 1)
  const before = await value(app, 'commit_to_write_seconds_count')
  await caller(app, ann)('POST', '/projects', { name: 'Fair' })
  await feed.next('member.added')
  await until(async () => (await value(app, 'commit_to_write_seconds_count')) === before + 2)
  t.equal(await value(app, 'delivered_head'), app.pubsub.deliveredHead)
  t.equal(await value(app, 'revision_gaps_total'), 0)

  const lost = await openFeed(t, url, ann.headers, { cursor: 'garbage' })
  await lost.next('reset')
  t.equal(await value(app, 'resets_total{reason="unknown"}'), 1)
  await app.inject({ method: 'POST', url: '/auth/signout', headers: { cookie: ann.cookie } })
  await feed.ended
  await until(async () => (await value(app, 'sessions_ended_total')) === 3)
  await until(async () => (await value(app, 'streams{state="live"}')) === 0)
  t.notMatch(
    (await app.inject({ url: '/metrics' })).payload,
    new RegExp(ann.email),
    'nothing about people'
  )
})
