import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import packageJson from '../../package.json' with { type: 'json' }
import { build, listen } from '../support/app.ts'
import { createDatabase } from '../support/database.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'

t.test('a healthy node is live and ready', async t => {
  const app = await build(t)
  const live = await app.inject('/health/live')
  t.equal(live.statusCode, 200)
  t.strictSame(live.json(), { status: 'ok', version: packageJson.version })
  t.equal((await app.inject('/docs/json')).json().info.version, packageJson.version)
  const ready = await app.inject('/health/ready')
  t.equal(ready.statusCode, 200)
  t.strictSame(ready.json(), { status: 'ready', database: 'up', listener: 'up', lag: 0 })
})

t.test('a node whose database does not respond is live, not ready', async t => {
  const proxy = await tcpProxy(t, await createDatabase(t))
  const app = await build(t, { DATABASE_URL: proxy.url })
  proxy.hold()
  const probes = await Promise.all(Array.from({ length: 20 }, () => app.inject('/health/ready')))
  for (const probe of probes) {
    t.equal(probe.statusCode, 503)
    t.match(probe.json(), { status: 'unavailable', database: 'down' })
    t.ok(Number(probe.headers['retry-after']) > 0)
  }
  t.equal((await app.inject('/health/live')).statusCode, 200)
  proxy.resume()
  await until(async () => (await app.inject('/health/ready')).statusCode === 200)
})

t.test('a node whose database closes connections is not ready', async t => {
  const proxy = await tcpProxy(t, await createDatabase(t))
  const app = await build(t, { DATABASE_URL: proxy.url })
  proxy.close()
  await until(async () => {
    const reply = await app.inject('/health/ready')
    return reply.statusCode === 503 && reply.json().database === 'down'
  })
  t.equal((await app.inject('/health/live')).statusCode, 200)
})

t.test('a closing node is not ready', async t => {
  const app = await build(t)
  const closing = app.close()
  const reply = await app.inject('/health/ready')
  t.equal(reply.statusCode, 503)
  t.equal(reply.json().status, 'draining')
  await closing
})

t.test('the health command exits with 0 for a ready node and with 1 for no node', async t => {
  const app = await build(t)
  const { port } = new URL(await listen(app))
  const command = join(import.meta.dirname, '../../bin/health.ts')
  const run = () =>
    promisify(execFile)(process.execPath, [command], { env: { HOST: '0.0.0.0', PORT: port } })
  t.match(JSON.parse((await run()).stdout), { status: 'ready' })
  await app.close()
  await t.rejects(run(), {
    code: 1,
    stderr: /^no response: connect ECONNREFUSED 127\.0\.0\.1:\d+\n$/
  })
})
