import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { build, listen } from '../support/app.ts'
import { openLive } from '../support/live-client.ts'
import { readMetric } from '../support/metrics.ts'
import { openFeed } from '../support/sse-client.ts'
import { until } from '../support/until.ts'
import { createUser } from '../support/users.ts'

t.test('GET /metrics counts deliveries, open clients and resets', async t => {
  const app = await build(t)
  const url = await listen(app)
  const ann = await createUser(app)
  const { statusCode, headers, payload } = await app.inject({ url: '/metrics' })
  t.equal(statusCode, 200)
  t.match(headers['content-type'], /^text\/plain; version=0\.0\.4/)
  t.match(payload, /# TYPE concord_commit_to_write_seconds histogram/)
  t.equal(await readMetric(app, 'concord_listener_up'), 1)
  // More than once when the machine was too busy for the heartbeats of the connection.
  t.ok((await readMetric(app, 'concord_listener_connects_total')) >= 1)

  const feed = await openFeed(t, url, ann.headers)
  await feed.next('ready')
  await openLive(t, url, ann.headers)
  await until(async () => (await readMetric(app, 'concord_streams{state="live"}')) === 1)
  t.equal(await readMetric(app, 'concord_sockets{state="live"}'), 1)
  const before = await readMetric(app, 'concord_commit_to_write_seconds_count')
  await ann.request('POST', '/projects', { name: 'Fair' })
  await feed.next('member.added')
  await until(
    async () => (await readMetric(app, 'concord_commit_to_write_seconds_count')) === before + 2
  )
  t.equal(await readMetric(app, 'concord_delivered_head'), app.pubsub.deliveredHead)
  t.equal(await readMetric(app, 'concord_revision_gaps_total'), 0)

  const lost = await openFeed(t, url, ann.headers, { cursor: 'garbage' })
  await lost.next('reset')
  t.equal(await readMetric(app, 'concord_resets_total{reason="unknown"}'), 1)
  await app.inject({ method: 'POST', url: '/auth/signout', headers: { cookie: ann.cookie } })
  await feed.ended
  await until(async () => (await readMetric(app, 'concord_sessions_ended_total')) === 3)
  await until(async () => (await readMetric(app, 'concord_streams{state="live"}')) === 0)
  t.notMatch(
    (await app.inject({ url: '/metrics' })).payload,
    new RegExp(ann.email),
    'no email of a user'
  )
})

t.test('GET /metrics counts requests by route, without streams and ids', async t => {
  const app = await build(t)
  const url = await listen(app)
  const ann = await createUser(app)
  const feed = await openFeed(t, url, ann.headers)
  await feed.next('ready')
  feed.stop()
  await ann.request('GET', `/projects/${ann.id}`)
  await app.inject('/no-such-path')
  await until(async () => (await readMetric(app, 'concord_streams{state="live"}')) === 0)
  const { payload } = await app.inject('/metrics')
  for (const labels of [
    'method="POST",route="/auth/signin",status="200"',
    'method="GET",route="/projects/:projectId",status="404"',
    'method="GET",route="none",status="404"'
  ]) {
    t.match(payload, `concord_http_request_seconds_count{${labels}} 1\n`)
  }
  t.notMatch(payload, 'route="/events"')
  t.notMatch(payload, ann.id)
})

/** The metrics that exist only with NATS_URL. */
const ofNats = ['concord_nats_up', 'concord_publisher']

t.test('docs/operations.md lists exactly the metrics of the service', async t => {
  const app = await build(t)
  const { payload } = await app.inject({ url: '/metrics' })
  const exported = [...payload.matchAll(/^# TYPE (concord_\w+)/gm)].map(([, name]) => name)
  const page = readFileSync(join(import.meta.dirname, '../../docs/operations.md'), 'utf8')
  const listed = [...page.matchAll(/`(concord_\w+)`/g)].map(([, name]) => name)
  t.strictSame([...new Set(listed)].sort(), [...exported, ...ofNats].sort())
})
