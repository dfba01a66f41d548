import { once } from 'node:events'
import { createServer } from 'node:http'
import t, { type Test } from 'tap'
import { type WebSocket as ServerSocket, WebSocketServer } from 'ws'
import { createSocket, type MessageOfService, type SocketParts } from '../../client/socket.ts'
import type { Clock, LogLine } from '../../client/types.ts'
import { startNode } from '../support/app.ts'
import { fastClock } from '../support/browser.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'
import { createUser, signIn } from '../support/users.ts'
import { startManager } from './session-setup.ts'

/** Opens a socket and collects its messages, its closes and the calls of `session.ended`. */
function open(t: Test, address: string, parts: Partial<SocketParts> = {}) {
  const messages: MessageOfService[] = []
  const closes: boolean[] = []
  const endings: string[] = []
  const lines: LogLine[] = []
  const socket = createSocket({
    address,
    WebSocket,
    session: {
      isUser: () => true,
      headers: async () => ({}),
      ended: reason => endings.push(reason),
      onToken: () => () => {}
    },
    clock: fastClock(),
    log: line => lines.push(line),
    onMessage: message => messages.push(message),
    onClose: isSilent => closes.push(isSilent),
    ...parts
  })
  socket.want(true)
  t.teardown(() => socket.want(false))
  return { socket, messages, closes, endings, lines }
}

/** Starts a server of sockets that calls one of `runs` with each new socket, and repeats the last one. */
async function scripted(t: Test, ...runs: ((socket: ServerSocket) => void)[]) {
  const server = createServer()
  const sockets = new WebSocketServer({ server })
  const opened: ServerSocket[] = []
  sockets.on('connection', socket => {
    runs[Math.min(opened.length, runs.length - 1)]?.(socket)
    opened.push(socket)
  })
  t.teardown(() => {
    for (const socket of sockets.clients) socket.terminate()
    server.close()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  return { url: `http://127.0.0.1:${port}`, opened }
}

function welcome(socket: ServerSocket) {
  socket.send('{"type":"welcome"}')
}

function closeWith(code: number) {
  return (socket: ServerSocket) => {
    welcome(socket)
    socket.close(code, 'a reason')
  }
}

t.test('a silent network is noticed, and the socket replaced', async t => {
  const { app, url } = await startNode(t)
  const user = await createUser(app)
  const proxy = await tcpProxy(t, url)
  const session = {
    isUser: () => true,
    headers: async () => user.headers,
    ended() {},
    onToken: () => () => {}
  }
  const { socket, messages, closes } = open(t, proxy.url, { session })
  await until(() => socket.state.get().phase === 'open')

  proxy.stall()

  await until(() => messages.filter(({ type }) => type === 'welcome').length === 2)
  t.same(closes, [true])
})

t.test('waking replaces a socket without response', async t => {
  const { url, opened } = await scripted(t, welcome)
  const { socket, closes } = open(t, url)
  t.equal(socket.check(), false)
  await until(() => socket.state.get().phase === 'open')

  t.equal(socket.check(), true)

  await until(() => opened.length === 2)
  t.same(closes, [true])
})

t.test('waking keeps a socket that responds', async t => {
  const { app, url } = await startNode(t)
  const user = await createUser(app)
  const session = {
    isUser: () => true,
    headers: async () => user.headers,
    ended() {},
    onToken: () => () => {}
  }
  const timers = new Set<{ run: () => void; ms: number }>()
  // Its time stands still, so that the test does not depend on how soon the service responds.
  const clock: Clock = {
    now: () => 0,
    setTimeout(run, ms) {
      const timer = { run, ms }
      timers.add(timer)
      return () => timers.delete(timer)
    }
  }
  const { socket, messages, closes } = open(t, url, { session, clock })
  await until(() => socket.state.get().phase === 'open')

  socket.check()

  const ofSeconds = () => [...timers].filter(({ ms }) => ms <= 5000)
  t.equal(ofSeconds().length, 1)
  await until(() => messages.some(({ type }) => type === 'pong'))
  for (const { run } of ofSeconds()) run()
  t.same(closes, [])
})

t.test('new access tokens prolong a socket', async t => {
  const { app, url } = await startNode(t, { ACCESS_TOKEN_TTL: '2' })
  const user = await createUser(app)
  const manager = startManager(t, url)
  await manager.signIn(user)
  manager.keepFresh(true)
  const { messages, closes } = open(t, url, { session: manager })

  await until(() => messages.filter(({ type }) => type === 'auth').length === 3)
  t.same(closes, [])
})

t.test('an expired token is refreshed before the next socket', async t => {
  const { app, url } = await startNode(t, { ACCESS_TOKEN_TTL: '2' })
  const user = await createUser(app)
  const manager = startManager(t, url)
  await manager.signIn(user)
  const { messages, closes } = open(t, url, { session: { ...manager, onToken: () => () => {} } })

  await until(() => messages.filter(({ type }) => type === 'welcome').length === 2)
  t.same(closes, [false])
})

t.test('an ended session is reported', async t => {
  const { app, url } = await startNode(t)
  const user = await createUser(app)
  const manager = startManager(t, url)
  await manager.signIn(user)
  const { socket } = open(t, url, { session: manager })
  await until(() => socket.state.get().phase === 'open')

  const other = await signIn(app, user)
  await other.request('DELETE', '/auth/sessions')

  await until(() => manager.state.get().state === 'signed-out')
  t.match(manager.state.get(), { reason: 'revoked' })
})

t.test('a restart of the service causes a new socket at once', async t => {
  const { url, opened } = await scripted(t, closeWith(1012), welcome)
  const { socket, closes, endings } = open(t, url)

  await until(() => opened.length === 2 && socket.state.get().phase === 'open')
  t.same(closes, [false])
  t.same(endings, [])
})

for (const code of [4400, 4429]) {
  t.test(`close code ${code} is logged, and delays the next socket`, async t => {
    const { url } = await scripted(t, closeWith(code))
    const { socket, lines } = open(t, url)

    await until(() => socket.state.get().retryAt)
    t.ok(Math.abs((socket.state.get().retryAt ?? 0) - Date.now() - 30_000) < 2000)
    t.match(lines, [{ level: 'warn' }])
  })
}

t.test('a refused socket reports the session once a minute', async t => {
  const clock = fastClock()
  const { url } = await startNode(t)
  const { endings, socket } = open(t, url, { clock })

  await until(() => socket.state.get().retryAt)
  await new Promise<void>(resolve => clock.setTimeout(resolve, 10_000))

  t.same(endings, ['expired'])
  t.equal(socket.state.get().phase, 'offline')
})

t.test('a server that is no Concord is left', async t => {
  const { url } = await scripted(t, socket => socket.send('hello'))
  const { socket, messages } = open(t, url)

  await until(() => socket.state.get().retryAt)
  t.same(messages, [])
})

t.test('an unwanted socket is closed', async t => {
  const { url, opened } = await scripted(t, welcome)
  const { socket, closes } = open(t, url)
  await until(() => socket.state.get().phase === 'open')

  socket.want(false)

  await until(() => opened[0]?.readyState === 3)
  t.same(closes, [false])
  t.equal(socket.state.get().phase, 'closed')
})

t.test('a socket that belongs to another user is closed before it is used', async t => {
  const { app, url } = await startNode(t)
  const user = await createUser(app)
  const endings: string[] = []
  const { messages } = open(t, url, {
    session: {
      isUser: id => id !== user.id,
      headers: async () => user.headers,
      ended: reason => endings.push(reason),
      onToken: () => () => {}
    }
  })
  await until(() => endings.length > 1)
  t.same(new Set(endings), new Set(['expired']))
  t.same(messages, [])
})
