import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import { createStream, type StreamParts } from '../../client/stream.ts'
import type { FeedEvent, LogLine } from '../../client/types.ts'
import { startNode } from '../support/app.ts'
import { fastClock } from '../support/browser.ts'
import { createProject } from '../support/projects.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'
import { createUser } from '../support/users.ts'
import { startManager } from './session-setup.ts'

/** Opens a stream and collects its events, without heartbeats, and the calls of `session.ended`. */
function open(t: Test, address: string, parts: Partial<StreamParts> = {}) {
  const events: FeedEvent[] = []
  const endings: string[] = []
  const lines: LogLine[] = []
  let cursor: string | undefined
  const stream = createStream({
    address,
    fetch,
    session: {
      isUser: () => true,
      headers: async () => ({}),
      ended: reason => endings.push(reason)
    },
    clock: fastClock(),
    log: line => lines.push(line),
    cursor: () => cursor,
    onEvent(event) {
      cursor = event.cursor
      if (event.type !== 'heartbeat') events.push(event)
    },
    ...parts
  })
  stream.want(true)
  t.teardown(() => stream.want(false))
  return { stream, events, endings, lines, types: () => events.map(({ type }) => type) }
}

/** Starts a server that responds to one request after another with `responses`, and repeats the last one. */
async function scripted(
  t: Test,
  ...responses: ((response: ServerResponse, request: IncomingMessage) => void)[]
) {
  const urls: string[] = []
  const server = createServer((request, response) => {
    const respond = responses[Math.min(urls.length, responses.length - 1)]
    urls.push(request.url ?? '')
    respond?.(response, request)
  })
  t.teardown(() => server.closeAllConnections())
  t.teardown(() => server.close())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return { url: `http://127.0.0.1:${port}`, urls }
}

function stream(...blocks: string[]) {
  return (response: ServerResponse) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const block of blocks) response.write(`${block}\n\n`)
  }
}

function refusal(status: number, code: string, headers = {}) {
  return (response: ServerResponse) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(JSON.stringify({ statusCode: status, code, message: code }))
  }
}

t.test('a stream resumes after a cut without loss or repetition', async t => {
  const { app, url } = await startNode(t)
  const user = await createUser(app)
  const proxy = await tcpProxy(t, url)
  const session = { isUser: () => true, headers: async () => user.headers, ended() {} }
  const { events, stream } = open(t, proxy.url, { session })
  await until(() => stream.state.get().phase === 'open')

  const names = ['One', 'Two', 'Three', 'Four']
  for (const name of names) {
    await createProject(user, name)
    if (name === 'Two') proxy.cut()
  }

  const added = () => events.flatMap(event => (event.type === 'member.added' ? [event] : []))
  await until(() => added().length === 4)
  t.same(
    added().map(({ project }) => project.name),
    names
  )
})

t.test('a silent stream is replaced', async t => {
  const { app, url } = await startNode(t)
  const user = await createUser(app)
  const proxy = await tcpProxy(t, url)
  const session = { isUser: () => true, headers: async () => user.headers, ended() {} }
  const { types, stream } = open(t, proxy.url, { session })
  await until(() => stream.state.get().phase === 'open')

  proxy.stall()
  await createProject(user)

  await until(() => types().includes('member.added'))
})

t.test('a stream that is open with an access token resumes at its expiry', async t => {
  const { app, url } = await startNode(t, { ACCESS_TOKEN_TTL: '2' })
  const user = await createUser(app)
  const manager = startManager(t, url)
  await manager.signIn(user)
  manager.keepFresh(true)
  const { events, lines, stream } = open(t, url, { session: manager })
  const readies = () => events.filter(({ type }) => type === 'ready').length

  await until(() => readies() === 3)
  await manager.request('POST', '/projects', { body: { name: 'Fair' } })

  await until(() => events.some(({ type }) => type === 'member.added'))
  t.equal(stream.state.get().phase, 'open')
  t.same(lines, [])
})

t.test('an ended session is reported with its reason', async t => {
  const { app, url } = await startNode(t)
  const user = await createUser(app)
  const manager = startManager(t, url)
  await manager.signIn(user)
  const { stream } = open(t, url, { session: manager })
  await until(() => stream.state.get().phase === 'open')

  await user.request('DELETE', '/auth/sessions')

  await until(() => manager.state.get().state === 'signed-out')
  t.match(manager.state.get(), { reason: 'revoked' })
})

t.test('an unknown cursor causes a reset', async t => {
  const { app, url } = await startNode(t)
  const user = await createUser(app)
  const session = { isUser: () => true, headers: async () => user.headers, ended() {} }
  const { types } = open(t, url, { session, cursor: () => 'unknown' })

  await until(() => types().includes('reset'))
})

t.test('Retry-After delays the next try', async t => {
  const { url, urls } = await scripted(
    t,
    refusal(429, 'TOO_MANY_STREAMS', { 'retry-after': '30' }),
    stream('event: ready\nid: 1\ndata: {}')
  )
  const { stream: connection } = open(t, url)

  await until(() => connection.state.get().retryAt)
  const { phase, retryAt } = connection.state.get()
  t.equal(phase, 'offline')
  t.ok(Math.abs((retryAt ?? 0) - Date.now() - 30_000) < 2000, `${retryAt}`)
  connection.retryNow()

  await until(() => connection.state.get().phase === 'open')
  t.equal(urls.length, 2)
})

t.test('the service sets the delay after a stream with `retry`', async t => {
  const { url } = await scripted(t, response => {
    stream('retry: 25000\nevent: ready\nid: 1\ndata: {}')(response)
    response.end()
  })
  const { stream: connection } = open(t, url)

  await until(() => connection.state.get().retryAt)
  t.ok(Math.abs((connection.state.get().retryAt ?? 0) - Date.now() - 25_000) < 2000)
})

t.test('the next connection resumes after the last event', async t => {
  const { url, urls } = await scripted(
    t,
    response => {
      stream('event: ready\nid: a.1\ndata: {}', 'event: heartbeat\nid: a.2\ndata: {}')(response)
      response.end()
    },
    stream('event: ready\nid: a.2\ndata: {}')
  )
  open(t, url, { project: 'p' })

  await until(() => urls.length === 2)
  t.same(urls, ['/events?project=p', '/events?last_event_id=a.2&project=p'])
})

t.test('a refused cookie or token reports the session', async t => {
  const { url } = await scripted(
    t,
    refusal(403, 'BAD_REFRESH_TOKEN'),
    stream('event: ready\nid: 1\ndata: {}')
  )
  const { endings, stream: connection } = open(t, url)

  await until(() => connection.state.get().phase === 'open')
  t.same(endings, ['expired'])
})

t.test('a response that is no event stream is an error', async t => {
  const { url } = await scripted(
    t,
    response => response.end('<title>Welcome to this hotel</title>'),
    stream('event: ready\nid: 1\ndata: {}')
  )
  const errors: unknown[] = []
  const { stream: connection } = open(t, url, { onError: error => errors.push(error) })

  await until(() => connection.state.get().phase === 'open')
  t.match(errors, [{ code: 'NOT_CONCORD' }])
})

t.test('a service that ends every stream is not called in a loop', async t => {
  const clock = fastClock()
  const { url, urls } = await scripted(t, response => {
    stream('event: ready\nid: 1\ndata: {}')(response)
    response.end()
  })
  open(t, url, { clock })

  await new Promise<void>(resolve => clock.setTimeout(resolve, 20_000))

  t.ok(urls.length < 30, `${urls.length} requests in 20 s`)
})

t.test('waking replaces a stream that is silent', async t => {
  const { url, urls } = await scripted(t, stream('event: ready\nid: 1\ndata: {}'))
  const { stream: connection } = open(t, url)
  await until(() => connection.state.get().phase === 'open')

  connection.check(60_000)
  t.equal(connection.state.get().phase, 'open')
  await until(() => {
    connection.check(3000)
    return urls.length === 2
  })
})

t.test('a stream that belongs to another user delivers no event', async t => {
  const { app, url } = await startNode(t)
  const user = await createUser(app)
  const endings: string[] = []
  const { events } = open(t, url, {
    session: {
      isUser: id => id !== user.id,
      headers: async () => user.headers,
      ended: reason => endings.push(reason)
    }
  })
  await until(() => endings.length > 1)
  t.same(new Set(endings), new Set(['expired']))
  t.same(events, [])
})
