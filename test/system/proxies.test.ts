import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:http2'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import t, { type Test } from 'tap'
import { startNode } from '../support/app.ts'
import { type HttpsFetch, type HttpVersion, httpsFetch } from '../support/https-fetch.ts'
import { openLive } from '../support/live-client.ts'
import { createChecklist, createProject } from '../support/projects.ts'
import { type ProxyKind, proxyKinds, skipOf } from '../support/proxy-kinds.ts'
import { openFeed } from '../support/sse-client.ts'
import { proxiesFolder, startProxy } from '../support/start-proxy.ts'
import { createUser } from '../support/users.ts'

const versions: HttpVersion[] = ['1.1', '2']
const timeout = 60_000 // reached only when a proxy holds an event back
const evil = 'https://evil.example'
const forgedHost = { 'x-forwarded-host': 'evil.example' }

t.jobs = 4

t.test('the documentation shows the configurations that the tests run', async t => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/deployment.md'), 'utf8')
  for (const file of readdirSync(proxiesFolder)) {
    t.ok(page.includes(`\n${readFileSync(join(proxiesFolder, file), 'utf8')}\`\`\``), file)
  }
})

for (const kind of proxyKinds) {
  t.test(`behind ${kind.name}`, { skip: skipOf(kind), buffered: true }, async t => {
    const setup = await setUp(t, kind)

    t.test('clients negotiate TLS 1.3 and HTTP/2', t => checkTls(t, setup))

    for (const version of versions) {
      const http = `HTTP/${version}`
      const fetch = httpsFetch(t, version)

      t.test(`each event arrives over ${http} before the next one is written`, { timeout }, t =>
        checkDelivery(t, setup, fetch)
      )
      t.test(`a stream resumes over ${http} after Last-Event-ID`, { timeout }, t =>
        checkResume(t, setup, fetch)
      )
      t.test(`the refresh cookie works over ${http} for pages of this origin only`, t =>
        checkCookie(t, setup, fetch)
      )
      t.test(`a session shows the address of its client over ${http}, not a forged one`, t =>
        checkAddress(t, setup, version)
      )
      t.test(`/metrics is not public over ${http}`, async t => {
        t.equal((await fetch(`${setup.url}/metrics`)).status, 404)
        t.equal((await fetch(`${setup.url}/health/ready`)).status, 200)
      })
    }

    t.test('a socket receives each change before the next one is written', { timeout }, t =>
      checkSocket(t, setup)
    )
    t.test('a socket from a foreign origin is refused', async t => {
      for (const forged of [{}, forgedHost]) {
        const headers = { cookie: setup.ann.cookie, origin: evil, ...forged }
        await t.rejects(openLive(t, setup.url, headers), /Unexpected server response: 403/)
      }
    })
    if (kind.hasHttp2Sockets) {
      t.test('a socket opens over HTTP/2', t => checkHttp2Socket(t, setup))
    }
    if (kind.reload) {
      t.test('a reload with a new certificate loses no event', t => checkReload(t, setup, kind))
    }
  })
}

type Setup = Awaited<ReturnType<typeof setUp>>

/** Starts a node with a proxy in front, and creates a user with a project and a checklist on it. */
async function setUp(t: Test, kind: ProxyKind) {
  const { app, url: nodeUrl } = await startNode(t, { TRUST_PROXY: '127.0.0.1' })
  const { url, reload } = await startProxy(t, kind, nodeUrl)
  const ann = await createUser(app)
  const projectId = await createProject(ann)
  const listId = await createChecklist(ann, projectId)
  const rename = (name: string) => ann.request('PATCH', `/projects/${projectId}`, { name })
  const insertItem = (text: string) =>
    app.sql`insert into checklist_items (checklist_id, text) values (${listId}, ${text})`
  return { app, url, reload, ann, listId, rename, insertItem }
}

async function checkTls(t: Test, { url }: Setup) {
  const { hostname: host, port } = new URL(url)
  const socket = connectTls({ host, port: Number(port), ALPNProtocols: ['h2', 'http/1.1'] })
  await once(socket, 'secureConnect')
  t.equal(socket.getProtocol(), 'TLSv1.3')
  t.equal(socket.alpnProtocol, 'h2')
  socket.destroy()
}

async function checkDelivery(t: Test, { url, ann, rename }: Setup, fetch: HttpsFetch) {
  const feed = await openFeed(t, url, ann.headers, { fetch })
  t.equal(feed.response.status, 200)
  await feed.next('ready')
  // A proxy that buffers would send the first event together with a later one.
  for (const name of ['one', 'two', 'three', 'four', 'five']) {
    await rename(name)
    t.match((await feed.next()).data, { project: { name } })
  }
}

async function checkResume(t: Test, { url, ann, rename }: Setup, fetch: HttpsFetch) {
  const first = await openFeed(t, url, ann.headers, { fetch })
  await first.next('ready')
  await rename('received')
  const { id: cursor } = await first.next('project.updated')
  first.stop()
  await rename('missed')
  await rename('missed, too')
  const second = await openFeed(t, url, ann.headers, { fetch, cursor })
  await rename('live')
  for (const name of ['missed', 'missed, too', 'live']) {
    t.match((await second.next('project.updated')).data, { project: { name } })
  }
}

async function checkCookie(t: Test, { url, ann }: Setup, fetch: HttpsFetch) {
  const signIn = await fetch(`${url}/auth/signin`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: url },
    body: JSON.stringify({ email: ann.email, password: ann.password })
  })
  t.equal(signIn.status, 200)
  const [setCookie = ''] = signIn.headers.getSetCookie()
  t.match(setCookie, /^refresh=.+; HttpOnly; Secure; SameSite=Strict$/)
  const [cookie = ''] = setCookie.split(';')

  const refresh = async (headers: Record<string, string>) => {
    const init = { method: 'POST', headers: { cookie, ...headers } }
    return (await fetch(`${url}/auth/refresh`, init)).status
  }
  t.equal(await refresh({ origin: evil }), 403)
  t.equal(await refresh({ origin: evil, ...forgedHost }), 403, 'with a forged host')
  t.equal(await refresh({ origin: url }), 200)

  for (const [site, status] of Object.entries({ 'same-origin': 200, 'cross-site': 403 })) {
    const headers = { cookie: ann.cookie, 'sec-fetch-site': site }
    const feed = await openFeed(t, url, headers, { fetch })
    t.equal(feed.response.status, status, site)
  }
}

async function checkAddress(t: Test, { app, url }: Setup, version: HttpVersion) {
  const { email, password } = await createUser(app)
  const fetch = httpsFetch(t, version, '127.0.0.2')
  const signIn = await fetch(`${url}/auth/signin`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      forwarded: 'for=203.0.113.9',
      'x-forwarded-for': '203.0.113.9',
      'x-real-ip': '203.0.113.9'
    },
    body: JSON.stringify({ email, password })
  })
  const { accessToken } = (await signIn.json()) as { accessToken: string }
  const headers = { authorization: `Bearer ${accessToken}` }
  const response = await fetch(`${url}/auth/sessions`, { headers })
  const { sessions } = (await response.json()) as { sessions: object[] }
  t.match(sessions, [{ current: true, ip: '127.0.0.2' }, { current: false }])
}

async function checkSocket(t: Test, { url, ann, listId, insertItem }: Setup) {
  const live = await openLive(t, url, { cookie: ann.cookie, origin: url })
  await live.open(listId)
  for (const text of ['one', 'two', 'three']) {
    await insertItem(text)
    t.match(await live.change(), { after: { text } })
  }
  const [opId, itemId] = [crypto.randomUUID(), crypto.randomUUID()]
  const op = { kind: 'item.add', opId, itemId, text: 'four', after: null } as const
  t.match(await live.push(listId, op), [{ outcome: 'applied' }])
}

/** Opens a socket as RFC 8441 describes. Browsers do this when the server offers it. */
async function checkHttp2Socket(t: Test, { url, ann }: Setup) {
  const session = connect(url)
  t.teardown(() => session.destroy())
  for (const [origin, status] of Object.entries({ [url]: 200, [evil]: 403 })) {
    const stream = session.request({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':path': '/live',
      'sec-websocket-version': '13',
      cookie: ann.cookie,
      origin
    })
    const [response] = await once(stream, 'response')
    t.equal(response[':status'], status)
    if (status === 200) t.match(String(await once(stream, 'data')), /"type":"welcome"/)
    stream.destroy()
  }
}

async function checkReload(t: Test, setup: Setup, { closesSockets }: ProxyKind) {
  const { url, ann, listId, reload, rename, insertItem } = setup
  const opening = versions.map(version =>
    openFeed(t, url, ann.headers, { fetch: httpsFetch(t, version) })
  )
  const feeds = await Promise.all(opening)
  for (const feed of feeds) await feed.next('ready')
  const live = await openLive(t, url, ann.headers)
  const { checklist } = await live.open(listId)
  await reload()
  await rename('after the reload')
  for (const feed of feeds) {
    t.match((await feed.next()).data, { project: { name: 'after the reload' } })
  }
  await insertItem('new')
  if (closesSockets) {
    t.equal(await live.closed, 1001)
    const next = await openLive(t, url, ann.headers)
    const { rev: since, epoch } = checklist ?? {}
    t.match(await next.open(listId, { since, epoch }), { changes: [{ after: { text: 'new' } }] })
  } else {
    t.match(await live.change(), { after: { text: 'new' } })
  }
}
