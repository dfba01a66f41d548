import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:http2'
import { join } from 'node:path'
import t from 'tap'
import { startNode } from '../support/app.ts'
import { type HttpVersion, httpsFetch } from '../support/https-fetch.ts'
import { openLive } from '../support/live-client.ts'
import { createChecklist, createProject } from '../support/projects.ts'
import {
  noHttp2Sockets,
  noReload,
  proxiesFolder,
  proxyKinds,
  skipOf,
  startProxy
} from '../support/proxies.ts'
import { openFeed } from '../support/sse-client.ts'
import { createUser } from '../support/users.ts'

const versions: HttpVersion[] = ['1.1', '2']

t.jobs = 4

t.test('the documentation shows the configurations that the tests run', async t => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/deployment.md'), 'utf8')
  for (const file of readdirSync(proxiesFolder)) {
    t.ok(page.includes(`\n${readFileSync(join(proxiesFolder, file), 'utf8')}\`\`\``), file)
  }
})

for (const kind of proxyKinds) {
  const { name } = kind
  const skip = skipOf(kind)

  t.test(`behind ${name}`, { skip, buffered: true }, async t => {
    const { app, url: nodeUrl } = await startNode(t, { TRUST_PROXY: '127.0.0.1' })
    const { url, reload } = await startProxy(t, kind, nodeUrl)
    const ann = await createUser(app)
    const projectId = await createProject(ann)
    const listId = await createChecklist(ann, projectId)
    const rename = (name: string) => ann.request('PATCH', `/projects/${projectId}`, { name })

    for (const version of versions) {
      const fetch = httpsFetch(t, version)
      const http = `HTTP/${version}`

      t.test(`each event arrives over ${http} before the next one is written`, async t => {
        const feed = await openFeed(t, url, ann.headers, { fetch })
        t.equal(feed.response.status, 200)
        await feed.next('ready')
        // A proxy that buffers would send the first event together with a later one.
        for (const name of ['one', 'two', 'three', 'four', 'five']) {
          await rename(name)
          t.match((await feed.next()).data, { project: { name } })
        }
      })

      t.test(`a stream resumes over ${http} after Last-Event-ID`, async t => {
        const first = await openFeed(t, url, ann.headers, { fetch })
        await first.next('ready')
        await rename('seen')
        const { id: cursor } = await first.next('project.updated')
        first.stop()
        for (const name of ['missed', 'too']) await rename(name)
        const second = await openFeed(t, url, ann.headers, { fetch, cursor })
        await rename('last')
        for (const name of ['missed', 'too', 'last']) {
          t.match((await second.next('project.updated')).data, { project: { name } })
        }
        second.stop()
      })

      t.test(`the refresh cookie works over ${http} for pages of this origin only`, async t => {
        const { email, password } = ann
        const signIn = await fetch(`${url}/auth/signin`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', origin: url },
          body: JSON.stringify({ email, password })
        })
        t.equal(signIn.status, 200)
        const [setCookie = ''] = signIn.headers.getSetCookie()
        t.match(setCookie, /^refresh=.+; HttpOnly; Secure; SameSite=Strict$/)
        const [cookie = ''] = setCookie.split(';')
        const refresh = async (headers: Record<string, string>) =>
          (await fetch(`${url}/auth/refresh`, { method: 'POST', headers: { cookie, ...headers } }))
            .status
        const evil = 'https://evil.example'
        t.equal(await refresh({ origin: evil }), 403)
        t.equal(await refresh({ origin: evil, 'x-forwarded-host': 'evil.example' }), 403)
        t.equal(await refresh({ origin: url }), 200)

        const site = { 'same-origin': 200, 'cross-site': 403 }
        for (const [name, status] of Object.entries(site)) {
          const headers = { cookie: ann.cookie, 'sec-fetch-site': name }
          const feed = await openFeed(t, url, headers, { fetch })
          t.equal(feed.response.status, status, name)
          feed.stop()
        }
      })

      t.test(
        `a session shows the address of its client over ${http}, not a forged one`,
        async t => {
          const { email, password } = await createUser(app)
          const fetchAs = httpsFetch(t, version, '127.0.0.2')
          const signIn = await fetchAs(`${url}/auth/signin`, {
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
      )

      t.test(`/metrics is not public over ${http}`, async t => {
        t.equal((await fetch(`${url}/metrics`)).status, 404)
        t.equal((await fetch(`${url}/health/ready`)).status, 200)
      })
    }

    t.test('a socket receives each change before the next one is written', async t => {
      const live = await openLive(t, url, { cookie: ann.cookie, origin: url })
      await live.open(listId)
      for (const text of ['one', 'two', 'three']) {
        await app.sql`insert into checklist_items (checklist_id, text) values (${listId}, ${text})`
        t.match(await live.change(), { after: { text } })
      }
      const op = {
        kind: 'item.add',
        itemId: crypto.randomUUID(),
        text: 'four',
        after: null
      } as const
      t.match(await live.push(listId, { ...op, opId: crypto.randomUUID() }), [
        { outcome: 'applied' }
      ])
    })

    t.test('a socket from a foreign origin is refused', async t => {
      for (const forged of [{} as Record<string, string>, { 'x-forwarded-host': 'evil.example' }]) {
        const headers = { cookie: ann.cookie, origin: 'https://evil.example', ...forged }
        await t.rejects(openLive(t, url, headers), /Unexpected server response: 403/)
      }
    })

    t.test('a reload with a new certificate loses no event', { skip: noReload(kind) }, async t => {
      const feeds = await Promise.all(
        versions.map(version => openFeed(t, url, ann.headers, { fetch: httpsFetch(t, version) }))
      )
      for (const feed of feeds) await feed.next('ready')
      const live = await openLive(t, url, ann.headers)
      const { checklist } = await live.open(listId)
      await reload()
      await rename('after the reload')
      for (const feed of feeds) {
        t.match((await feed.next()).data, { project: { name: 'after the reload' } })
      }
      await app.sql`insert into checklist_items (checklist_id, text) values (${listId}, 'new')`
      if (!kind.closesSockets) {
        t.match(await live.change(), { after: { text: 'new' } })
        return
      }
      t.equal(await live.closed, 1001)
      const next = await openLive(t, url, ann.headers)
      const { rev: since, epoch } = checklist ?? {}
      t.match(await next.open(listId, { since, epoch }), { changes: [{ after: { text: 'new' } }] })
    })

    t.test('a socket opens over HTTP/2', { skip: noHttp2Sockets(kind) }, async t => {
      const session = connect(url)
      t.teardown(() => session.destroy())
      for (const [origin, status] of Object.entries({ [url]: 200, 'https://evil.example': 403 })) {
        const headers = { cookie: ann.cookie, origin, 'sec-websocket-version': '13' }
        const stream = session.request({
          ':method': 'CONNECT',
          ':protocol': 'websocket',
          ':path': '/live',
          ...headers
        })
        const [response] = await once(stream, 'response')
        t.equal(response[':status'], status)
        if (status === 200) t.match(String(await once(stream, 'data')), /"type":"welcome"/)
        stream.destroy()
      }
    })
  })
}
