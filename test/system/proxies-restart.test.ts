import { once } from 'node:events'
import { EventSource } from 'eventsource'
import t, { type Test } from 'tap'
import { build, JWT_SECRET, listen } from '../support/app.ts'
import { createDatabase } from '../support/database.ts'
import { freePort } from '../support/free-port.ts'
import { type HttpVersion, httpsFetch } from '../support/https-fetch.ts'
import { openLive } from '../support/live-client.ts'
import { spawnService, waitForStart } from '../support/process.ts'
import { createProject } from '../support/projects.ts'
import { haproxy, nginx, proxyKinds, skipOf, startProxy } from '../support/proxies.ts'
import { until } from '../support/until.ts'
import { createUser, type User } from '../support/users.ts'

// These tests mostly wait for processes and reconnects, so they run concurrently.
t.jobs = 3

const env = { JWT_SECRET, TRUST_PROXY: '127.0.0.1' }
const versions: HttpVersion[] = ['1.1', '2']
const installed = proxyKinds.filter(kind => !skipOf(kind))
const skip = installed.length === 0 && 'needs nginx, HAProxy, Caddy or Envoy'

/** Creates a user with a project. Returns functions that change the project, on a node that keeps running. */
async function setUp(t: Test) {
  const databaseUrl = await createDatabase(t)
  const app = await build(t, { ...env, DATABASE_URL: databaseUrl })
  const ann = await createUser(app)
  const projectId = await createProject(ann)
  const rename = (name: string) => ann.request('PATCH', `/projects/${projectId}`, { name })
  return { app, databaseUrl, ann, rename }
}

/** Opens the standard EventSource with the refresh cookie of a user. Records the project's names that it receives. */
async function openSource(t: Test, url: string, version: HttpVersion, { cookie }: User) {
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
  return { names, counts, source }
}

/** Opens an EventSource through each proxy over each version of HTTP. */
async function openSources(t: Test, proxies: { name: string; url: string }[], user: User) {
  const opening = proxies.flatMap(({ name, url }) =>
    versions.map(async version => ({
      name: `${name}, HTTP/${version}`,
      ...(await openSource(t, url, version, user))
    }))
  )
  return Promise.all(opening)
}

type Change = (config: string) => string

async function startProxies(t: Test, kinds: typeof proxyKinds, nodeUrl: string, change?: Change) {
  const starting = kinds.map(async kind => ({
    name: kind.name,
    ...(await startProxy(t, kind, nodeUrl, change))
  }))
  return Promise.all(starting)
}

async function startProcess(t: Test, databaseUrl: string, port: number) {
  const service = spawnService(t, { ...env, DATABASE_URL: databaseUrl, PORT: String(port) })
  await waitForStart(service)
  return async () => {
    service.child.kill('SIGKILL')
    await service.exited
  }
}

async function startApp(t: Test, databaseUrl: string, port: number) {
  const app = await build(t, { ...env, DATABASE_URL: databaseUrl })
  await app.listen({ host: '127.0.0.1', port })
  return () => app.close()
}

const ways = [
  { name: 'a restart', start: startApp, closeCode: 1012 },
  { name: 'kill -9', start: startProcess, closeCode: 1006 }
]

for (const { name, start, closeCode } of ways) {
  t.test(`an EventSource survives ${name} of the only node`, { skip, buffered: true }, async t => {
    const { databaseUrl, ann, rename } = await setUp(t)
    const port = await freePort()
    const stop = await start(t, databaseUrl, port)
    const proxies = await startProxies(t, installed, `http://127.0.0.1:${port}`)
    const sources = await openSources(t, proxies, ann)
    const lives = await Promise.all(proxies.map(({ url }) => openLive(t, url, ann.headers)))
    await rename('before')
    await until(() => sources.every(({ names }) => names.length === 1))

    await stop()
    for (const live of lives) t.equal(await live.closed, closeCode)
    await rename('meanwhile')
    await until(() => sources.every(({ counts }) => counts.opened > 1))
    for (const { name, url } of proxies) {
      const away = await fetch(`${url}/events`, { headers: { origin: 'https://app.example' } })
      t.equal(away.status, 200, name)
      t.equal(await away.text(), 'retry: 2000\n\n')
      t.match(Object.fromEntries(away.headers), {
        'content-type': 'text/event-stream',
        'cache-control': 'no-cache, no-store, no-transform',
        'access-control-allow-origin': 'https://app.example',
        'access-control-allow-credentials': 'true'
      })
      const other = await fetch(`${url}/users/me`, { headers: ann.headers })
      t.match(other.status, /^50[23]$/, 'other routes fail')
    }

    await start(t, databaseUrl, port)
    await until(() => sources.every(({ counts }) => counts.ready > 1))
    await rename('after')
    for (const { name, names } of sources) {
      await until(() => names.length === 3)
      t.strictSame(names, ['before', 'meanwhile', 'after'], name)
    }
  })
}

t.test(
  'without a response for streams, a restart closes an EventSource for good',
  { skip: skipOf(nginx), buffered: true },
  async t => {
    const { databaseUrl, ann } = await setUp(t)
    const port = await freePort()
    const stop = await startApp(t, databaseUrl, port)
    const without: Change = config => config.replace(/ +error_page .*\n/, '')
    const { url } = await startProxy(t, nginx, `http://127.0.0.1:${port}`, without)
    const { source } = await openSource(t, url, '1.1', ann)
    await stop()
    await until(() => source.readyState === EventSource.CLOSED)
  }
)

for (const kind of [nginx, haproxy]) {
  const title = `an EventSource resumes without loss when a reload of ${kind.name} ends its stream`
  t.test(title, { skip: skipOf(kind), buffered: true }, async t => {
    const { app, ann, rename } = await setUp(t)
    const shorten: Change = config => config.replace('10m', '1s')
    const proxies = await startProxies(t, [kind], await listen(app), shorten)
    const sources = await openSources(t, proxies, ann)
    for (const { reload } of proxies) await reload()
    const names: string[] = []
    await until(async () => {
      names.push(`during ${names.length}`)
      await rename(names.at(-1) as string)
      return sources.every(({ counts }) => counts.ready > 1)
    })
    for (const source of sources) {
      await until(() => source.names.length === names.length)
      t.strictSame(source.names, names, source.name)
    }
  })
}
