import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createClient, memoryStorage } from '../../client/index.ts'
import type { Client, LogLine, Options } from '../../client/types.ts'
import { startNode } from '../support/app.ts'
import { fastClock, openBrowser } from '../support/browser.ts'
import { freePort } from '../support/free-port.ts'
import { readMetric } from '../support/metrics.ts'
import { createChecklist, createProject } from '../support/projects.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'
import { createUser } from '../support/users.ts'
import { follow, startClient, when } from './client-setup.ts'
import { browserFetch } from './session-setup.ts'

const { app, url } = await startNode(t)

/** Starts an HTTP server that responds to everything with this body, and returns its address. */
async function startOtherServer(t: Test, status: number, type: string, body: string) {
  const server = createServer((_request, response) => {
    response.writeHead(status, { 'content-type': type }).end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`
}

const account = { email: 'ann@example.com', password: 'correct horse battery staple' }

t.test('an address that is no URL is refused at once', async t => {
  for (const address of ['', 'concord', undefined, 'http://']) {
    t.throws(() => createClient(address), { name: 'ConcordError', code: 'INVALID', status: null })
  }
})

t.test('a port without a server gives NETWORK', async t => {
  const client = await startClient(t, `http://127.0.0.1:${await freePort()}/`)
  const error = { code: 'NETWORK', status: null, retryAfterMs: null }
  await t.rejects(client.signIn(account), error)
})

t.test('a platform without WebSocket opens no checklist', async t => {
  t.intercept(globalThis, 'WebSocket', { value: undefined })
  const client = await startClient(t, url, await createUser(app))
  t.same(await client.projects.ready(), [])
  t.throws(() => client.checklist('0b9f2b0e-5d4e-4c1c-9a53-3f1a3c9c7d10'), { code: 'INVALID' })
})

for (const [status, type, body] of [
  [200, 'text/html', '<h1>It works!</h1>'],
  [404, 'text/html', '<h1>Not Found</h1>'],
  [200, 'application/json', '[]'],
  [200, 'application/json', '{}'],
  [404, 'application/json', '{"error":"Not Found"}'],
  [404, 'application/json', '{"statusCode":404,"code":"ROUTE_NOT_FOUND"}']
] as const) {
  t.test(`another server (${status} ${type} ${body}) gives NOT_CONCORD`, async t => {
    const client = await startClient(t, await startOtherServer(t, status, type, body))
    await t.rejects(client.signIn(account), { code: 'NOT_CONCORD' })
  })
}

t.test('errors of the service have a code, a status and a time', async t => {
  const limited = await startNode(t, { RATE_LIMIT: 'on' })
  const client = await startClient(t, `${limited.url}/`)
  const invalid = { ...account, email: 'no email', name: 'Ann' }
  await t.rejects(client.signUp(invalid), { code: 'FST_ERR_VALIDATION', status: 400 })
  await t.rejects(client.signIn(account), { code: 'BAD_CREDENTIALS', status: 401 })
  const codes: (number | null)[] = []
  await until(async () => {
    const error = await client.signIn(account).catch(error => error)
    codes.push(error.status)
    return error.code === 'TOO_OFTEN' && error.retryAfterMs > 0
  })
  t.same([...new Set(codes)], [401, 429])
})

t.test('after close, calls reject and connections are closed', async t => {
  const ann = await createUser(app)
  const before = await connections()
  const client = await startClient(t, url, ann)
  follow(t, client.projects)
  client.on('heartbeat', () => {})
  await until(async () => (await connections()) === before + 1)
  await client.close()
  await client.close()
  await until(async () => (await connections()) === before)
  const error = { code: 'ABORTED', message: 'the client is closed' }
  await t.rejects(client.signIn(ann), error)
  await t.rejects(client.createProject('x'), error)
})

t.test('a client is closed by a signal and by await using', async t => {
  const ann = await createUser(app)
  const controller = new AbortController()
  const client = await startClient(t, url, ann, { signal: controller.signal })
  controller.abort()
  await t.rejects(client.createProject('x'), { code: 'ABORTED' })
  let used: Client
  {
    await using inner = createClient(url)
    used = inner
    await inner.signIn(ann)
  }
  await t.rejects(used.createProject('x'), { code: 'ABORTED' })
  const late = await startClient(t, url, undefined, { signal: AbortSignal.abort() })
  await t.rejects(late.signIn(ann), { code: 'ABORTED' })
})

t.test('a process ends after it has closed its client', async t => {
  const ann = await createUser(app)
  const list = await createChecklist(ann, await createProject(ann))
  const script = `
    const { createClient } = await import(${JSON.stringify(join(import.meta.dirname, '../../client/index.ts'))})
    const client = createClient(${JSON.stringify(url)})
    await client.signIn(${JSON.stringify({ email: ann.email, password: ann.password })})
    client.on('heartbeat', () => {})
    client.projects.subscribe(() => {})
    client.checklist('${list}').subscribe(() => {})
    const view = await client.checklist('${list}').ready()
    for await (const event of client.events()) break
    await client.close()
    console.log(view.title)
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  t.teardown(() => child.kill())
  let output = ''
  child.stdout.on('data', chunk => {
    output += chunk
  })
  const [code] = await once(child, 'close')
  t.equal(code, 0)
  t.equal(output, 'To buy\n')
})

t.test('a client without subscriptions keeps no connection', async t => {
  const ann = await createUser(app)
  const list = await createChecklist(ann, await createProject(ann))
  const before = await connections()
  const client = await startClient(t, url, ann, { clock: fastClock() })
  await client.projects.ready()
  await client.checklist(list).ready()
  await until(async () => (await connections()) === before)
  t.match(client.session.get(), { state: 'signed-in' })
})

t.test('a reload without network shows the user, and offline', async t => {
  const ann = await createUser(app)
  const proxy = await tcpProxy(t, url)
  const options: Options = { fetch: browserFetch(), storage: memoryStorage() }
  const before = await startClient(t, proxy.url, ann, options)
  await before.close()
  proxy.close()
  const after = await startClient(t, proxy.url, undefined, options)
  await when(after.session, ({ state }) => state === 'signed-in')
  follow(t, after.projects)
  await when(after.connection, ({ state }) => state === 'offline')
  t.match(after.connection.get(), { unsent: 0, toDecide: 0, isStored: true })
  await t.rejects(after.createProject('x'), { code: 'NETWORK' })
  await proxy.reopen()
  t.same(await after.projects.ready(), [])
  await when(after.connection, ({ state }) => state === 'live')
})

t.test('two users after one another share no stored data', async t => {
  const ann = await createUser(app)
  const bob = await createUser(app, 'Bob')
  const storage = memoryStorage()
  const list = await createChecklist(ann, await createProject(ann))
  const proxy = await tcpProxy(t, url)
  const client = await startClient(t, proxy.url, ann, { storage })
  const checklist = client.checklist(list)
  follow(t, checklist)
  await checklist.ready()
  proxy.close()
  checklist.add('a secret')
  await when(client.connection, ({ unsent }) => unsent === 1)
  await until(async () => (await stored()).length === 1)
  await proxy.reopen()
  await client.signIn(bob)
  t.equal(client.connection.get().unsent, 0)
  t.same(await stored(), [])
  t.same(await storage.lastUser(), { id: bob.id, name: 'Bob' })
  await client.signOut()
  t.equal(await storage.lastUser(), null)

  async function stored() {
    return (await storage.open(ann.id)).entries()
  }
})

t.test('the connection counts unsent operations and open conflicts', async t => {
  const ann = await createUser(app)
  const list = await createChecklist(ann, await createProject(ann))
  const proxy = await tcpProxy(t, url)
  const client = await startClient(t, proxy.url, ann)
  const checklist = client.checklist(list)
  follow(t, checklist)
  await checklist.ready()
  const { ids, settled } = checklist.add('Book the band')
  await settled
  const [itemId = ''] = ids
  proxy.close()
  await when(client.connection, ({ state }) => state === 'offline')
  checklist.set(itemId, { text: 'Book the jazz band' })
  t.match(client.connection.get(), { unsent: 1, toDecide: 0 })
  await app.sql`update checklist_items set text = 'Call a DJ' where id = ${itemId}`
  await proxy.reopen()
  await when(client.connection, ({ toDecide }) => toDecide === 1)
  await when(client.connection, ({ unsent }) => unsent === 0)
  const [conflict] = checklist.get()?.conflicts ?? []
  await checklist.resolve(conflict?.id ?? '', 'theirs').settled
  await when(client.connection, ({ toDecide }) => toDecide === 0)
})

t.test('a service of another version is reported once', async t => {
  const ann = await createUser(app)
  const list = await createChecklist(ann, await createProject(ann))
  const logs: LogLine[] = []
  class OtherVersion extends WebSocket {
    override set onmessage(run: (event: MessageEvent) => void) {
      super.onmessage = ({ data }) =>
        run({ data: data.replace(/"version":"[^"]+"/, '"version":"99.1.0"') } as MessageEvent)
    }
  }
  const client = await startClient(t, url, ann, {
    WebSocket: OtherVersion,
    log: line => logs.push(line)
  })
  await client.checklist(list).ready()
  t.match(
    logs.filter(({ level }) => level === 'warn'),
    [{ message: /99\.1\.0/ }]
  )
})

t.test('tabs of a browser share the session and its end', async t => {
  const ann = await createUser(app)
  const browser = openBrowser(t)
  const storage = memoryStorage()
  const [one, two] = [browser.openTab(), browser.openTab()]
  const first = await startClient(t, url, ann, { ...one, storage })
  const second = await startClient(t, url, undefined, { ...two, storage })
  await when(second.session, ({ state }) => state === 'signed-in')
  follow(t, first.projects)
  follow(t, second.projects)
  const project = await first.createProject('Fair')
  await when(second.projects, rows => rows?.[0]?.id === project.id)
  await second.signOut()
  await when(first.session, ({ state }) => state === 'signed-out')
  t.match(first.session.get(), { reason: 'signed_out' })
  t.match(second.session.get(), { reason: 'signed_out' })
  await when(first.connection, ({ state }) => state === 'needs-sign-in')
})

async function connections(): Promise<number> {
  return (await readMetric(app, 'concord_streams')) + (await readMetric(app, 'concord_sockets'))
}
