import { once } from 'node:events'
import { EventSource } from 'eventsource'
import t, { type Test } from 'tap'
import { build, JWT_SECRET, listen } from '../support/app.ts'
import { createDatabase, openSql } from '../support/database.ts'
import { freePort } from '../support/free-port.ts'
import { httpClient } from '../support/http-client.ts'
import { type HttpVersion, httpsFetch } from '../support/https-fetch.ts'
import { openLive } from '../support/live-client.ts'
import { spawnService, waitForStart } from '../support/process.ts'
import { insertProject } from '../support/projects.ts'
import { haproxy, nginx, proxyKinds, skipOf } from '../support/proxy-kinds.ts'
import { type RunningProxy, startProxy } from '../support/start-proxy.ts'
import { until } from '../support/until.ts'
import { PASSWORD } from '../support/users.ts'

// These tests mostly wait for processes and reconnects, so they run concurrently.
t.jobs = 3

const env = { JWT_SECRET, TRUST_PROXY: '127.0.0.1' }
const versions: HttpVersion[] = ['1.1', '2']
const installed = proxyKinds.filter(kind => !skipOf(kind))

/** Starts a node in this process. Returns a function that closes it, as SIGTERM does. */
async function startApp(t: Test, databaseUrl: string, port: number) {
  const app = await build(t, { ...env, DATABASE_URL: databaseUrl })
  await app.listen({ host: '127.0.0.1', port })
  return () => app.close()
}

/** Starts a node as a process. Returns a function that kills it. */
async function startProcess(t: Test, databaseUrl: string, port: number) {
  const service = spawnService(t, { ...env, DATABASE_URL: databaseUrl, PORT: String(port) })
  await waitForStart(service)
  return async () => {
    service.child.kill('SIGKILL')
    await service.exited
  }
}

const ways = [
  { way: 'a restart', start: startApp, closeCode: 1012 },
  { way: 'kill -9', start: startProcess, closeCode: 1006 }
]

for (const { way, start, closeCode } of ways) {
  const skip = installed.length === 0 && 'needs nginx, HAProxy or Caddy'
  t.test(`an EventSource survives ${way} of the only node`, { skip, buffered: true }, async t => {
    const databaseUrl = await createDatabase(t)
    const port = await freePort()
    const nodeUrl = `http://127.0.0.1:${port}`
    const stop = await start(t, databaseUrl, port)
    const user = await createUser(t, nodeUrl, databaseUrl)
    const proxies = await Promise.all(installed.map(kind => startProxy(t, kind, nodeUrl)))
    const sources = await openSources(t, proxies, user)
    const lives = await Promise.all(proxies.map(({ url }) => openLive(t, url, user.headers)))
    const closes = await openClosingSource(t, nodeUrl, user)
    await user.rename('before')
    await until(() => sources.every(({ names }) => names.length === 1))

    await stop()
    for (const live of lives) t.equal(await live.closed, closeCode)
    await user.rename('meanwhile')
    await until(() => sources.every(({ counts }) => counts.opened > 1))
    await until(() => closes === undefined || closes.readyState === EventSource.CLOSED)
    for (const proxy of proxies) await checkResponses(t, proxy)

    await start(t, databaseUrl, port)
    await until(() => sources.every(({ counts }) => counts.ready > 1))
    await user.rename('after')
    for (const { name, names } of sources) {
      await until(() => names.length === 3)
      t.strictSame(names, ['before', 'meanwhile', 'after'], name)
    }
  })
}

t.test(
  'an EventSource resumes without loss when a reload ends its stream',
  { skip: skipOf(nginx) || skipOf(haproxy), buffered: true },
  async t => {
    const databaseUrl = await createDatabase(t)
    const app = await build(t, { ...env, DATABASE_URL: databaseUrl })
    const nodeUrl = await listen(app)
    const { rename, ...user } = await createUser(t, nodeUrl, databaseUrl)
    // A reload keeps the streams for 10 minutes.
    const shorten = (config: string) => config.replace('10m', '1s')
    const starting = [nginx, haproxy].map(kind => startProxy(t, kind, nodeUrl, shorten))
    const proxies = await Promise.all(starting)
    const sources = await openSources(t, proxies, user)
    await Promise.all(proxies.map(({ reload }) => reload()))
    const renamed: string[] = []
    await until(async () => {
      const name = `name ${renamed.length}`
      renamed.push(name)
      await rename(name)
      return sources.every(({ counts }) => counts.ready > 1)
    })
    for (const { name, names } of sources) {
      await until(() => names.length === renamed.length)
      t.strictSame(names, renamed, name)
    }
  }
)

interface Credentials {
  cookie: string
  headers: Record<string, string>
}

/** Signs a user up at a node, and gives the user a project. `rename` changes its name with SQL, without the node. */
async function createUser(t: Test, nodeUrl: string, databaseUrl: string) {
  const call = httpClient(t, nodeUrl)
  const account = { email: 'ann@example.com', password: PASSWORD }
  const { body: user } = await call('POST', '/auth/signup', { body: { ...account, name: 'Ann' } })
  const { cookie, body } = await call('POST', '/auth/signin', { body: account })
  const sql = openSql(t, databaseUrl)
  const projectId = await insertProject(sql, user.id)
  const rename = async (name: string) => {
    await sql`update projects set name = ${name} where id = ${projectId}`
  }
  return { cookie, headers: { authorization: `Bearer ${body.accessToken}` }, rename }
}

/** Opens an EventSource through each proxy over each version of HTTP. */
function openSources(t: Test, proxies: RunningProxy[], user: Credentials) {
  const opening = proxies.flatMap(({ name, url }) =>
    versions.map(async version => ({
      name: `${name}, HTTP/${version}`,
      ...(await openSource(t, url, version, user))
    }))
  )
  return Promise.all(opening)
}

/**
 * Opens the standard EventSource with a refresh cookie. Records the names of the project that it receives, and how often
 * it received a response with status 200 and the event `ready`.
 */
async function openSource(t: Test, url: string, version: HttpVersion, { cookie }: Credentials) {
  const fetch = httpsFetch(t, version)
  const source = new EventSource(`${url}/events`, {
    fetch: (input, { headers, signal }) => fetch(input, { headers: { ...headers, cookie }, signal })
  })
  t.teardown(() => source.close())
  const names: string[] = []
  const counts = { opened: 0, ready: 0 }
  source.addEventListener('project.updated', ({ data }) => {
    names.push(JSON.parse(data).project.name)
  })
  source.addEventListener('open', () => counts.opened++)
  source.addEventListener('ready', () => counts.ready++)
  await once(source as unknown as EventTarget, 'ready')
  return { source, names, counts }
}

/** Opens an EventSource through an nginx that responds with 502 while no node runs, where nginx is installed. */
async function openClosingSource(t: Test, nodeUrl: string, user: Credentials) {
  if (skipOf(nginx)) return
  const without = (config: string) => config.replace(/ +error_page .*\n/, '')
  const { url } = await startProxy(t, nginx, nodeUrl, without)
  return (await openSource(t, url, '1.1', user)).source
}

/** Checks how a proxy responds while no node runs. */
async function checkResponses(t: Test, { name, url }: RunningProxy) {
  const origin = 'https://app.example'
  const stream = await fetch(`${url}/events`, { headers: { origin } })
  t.equal(stream.status, 200, name)
  t.equal(await stream.text(), 'retry: 2000\n\n')
  t.match(Object.fromEntries(stream.headers), {
    'content-type': 'text/event-stream',
    'cache-control': 'no-cache, no-store, no-transform',
    'access-control-allow-origin': origin,
    'access-control-allow-credentials': 'true'
  })
  t.match((await fetch(`${url}/users/me`)).status, /^50[23]$/, 'other routes fail')
}
