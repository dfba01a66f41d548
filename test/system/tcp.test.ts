import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { startNode } from '../support/app.ts'
import { sendBytes } from '../support/send-bytes.ts'
import { times } from '../support/times.ts'
import { createUser, PASSWORD } from '../support/users.ts'

const { app, url, call } = await startNode(t)
const { port } = new URL(url)
const ann = await createUser(app)

const exchange = (t: Test, ...parts: string[]) => sendBytes(t, url, ...parts)
const statuses = (received: string) =>
  [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))
const request = (line: string, ...headers: string[]) =>
  `${[line, 'Host: a', ...headers, 'Connection: close'].join('\r\n')}\r\n\r\n`

t.test('an ambiguous request returns 400 and no second response', async t => {
  const smuggled = 'GET /users/me HTTP/1.1\r\nHost: a\r\n\r\n'
  const json = 'Content-Type: application/json'
  const post = 'POST /auth/signin HTTP/1.1\r\nHost: a'
  const ambiguous = {
    'length and chunks': `${post}\r\n${json}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    'chunks and length': `${post}\r\n${json}\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n${smuggled}`,
    'chunks twice': `${post}\r\n${json}\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`,
    'chunks spelt oddly': `${post}\r\n${json}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`,
    'chunks after a blank': `${post}\r\n${json}\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    'two lengths': `${post}\r\n${json}\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n${smuggled}`,
    'a length in a list': `${post}\r\n${json}\r\nContent-Length: 0, 40\r\n\r\n${smuggled}`,
    'a negative length': `${post}\r\n${json}\r\nContent-Length: -1\r\n\r\n${smuggled}`,
    'a length with a sign': `${post}\r\n${json}\r\nContent-Length: +2\r\n\r\n{}`,
    'a folded header': `${post}\r\nX-Folded: a\r\n b\r\n${json}\r\nContent-Length: 2\r\n\r\n{}`,
    'a bare LF': `GET /users/me HTTP/1.1\nHost: a\n\n`,
    'a bare CR': `GET /users/me HTTP/1.1\r\nHost: a\rX: b\r\n\r\n`,
    'a NUL': `GET /users/me HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n`,
    'a header without a name': `GET /users/me HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n`,
    'a blank in a name': `GET /users/me HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n`,
    'a bad chunk': `${post}\r\n${json}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`,
    'a chunk too long for its number': `${post}\r\n${json}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n`,
    'a chunk of astronomic size': `${post}\r\n${json}\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}`,
    'two hosts': 'GET /users/me HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n',
    'no host': 'GET /users/me HTTP/1.1\r\nConnection: close\r\n\r\n',
    'another protocol': 'GET /users/me HTTP/3.7\r\nHost: a\r\n\r\n',
    'a TLS hello': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'
  }
  for (const [name, bytes] of Object.entries(ambiguous)) {
    const received = await exchange(t, bytes)
    t.strictSame(statuses(received), [400], `${name}: one 400, no second response`)
  }
})

t.test('headers beyond the size limit return 431', async t => {
  const large = [
    `X: ${'a'.repeat(20_000)}`,
    `Cookie: refresh=${'a'.repeat(20_000)}`,
    `Authorization: Bearer ${'a'.repeat(20_000)}`,
    Array.from({ length: 3000 }, (_, index) => `X-${index}: aaaa`).join('\r\n')
  ]
  for (const header of large) {
    t.strictSame(statuses(await exchange(t, request('GET /users/me HTTP/1.1', header))), [431])
  }
  t.strictSame(statuses(await exchange(t, request(`GET /${'a'.repeat(20_000)} HTTP/1.1`))), [431])
})

t.test('an Upgrade header changes the response of GET /live only', async t => {
  const token = `Authorization: Bearer ${ann.token}`
  const lines: [string, number][] = [
    ['GET /health/live', 200],
    ['GET /users/me', 200],
    ['GET /metrics', 200],
    ['GET /nowhere', 404],
    ['GET /live', 426],
    ['POST /live', 405],
    ['HEAD /live', 405],
    ['PUT /users/me', 405],
    ['POST /auth/signout', 200]
  ]
  for (const [line, status] of lines) {
    for (const upgrade of ['h2c', 'websocket', 'TLS/1.0', 'nonsense, websocket']) {
      if (line === 'GET /live' && upgrade === 'websocket') continue
      const head = [
        `${line} HTTP/1.1`,
        'Host: a',
        token,
        'Connection: Upgrade',
        `Upgrade: ${upgrade}`
      ]
      const received = await exchange(t, `${head.join('\r\n')}\r\n\r\n`)
      t.strictSame(statuses(received), [status], `${line} ${upgrade}`)
    }
  }
  const body = JSON.stringify({ email: 'up@example.com', password: PASSWORD, name: 'Ann' })
  const head = [
    'POST /auth/signup HTTP/1.1',
    'Host: a',
    'Connection: Upgrade, HTTP2-Settings',
    'Upgrade: h2c',
    'HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA',
    'Content-Type: application/json',
    `Content-Length: ${body.length}`
  ]
  t.strictSame(statuses(await exchange(t, `${head.join('\r\n')}\r\n\r\n`, body)), [201])
})

t.test('every route returns 405 and Allow for other methods', async t => {
  const { paths } = (await call('GET', '/docs/json')).body
  for (const [path, operations] of Object.entries<object>(paths)) {
    const url = path.replace(/{\w+}/g, ann.id)
    const { status, headers, body } = await call('PUT', url, { token: ann.token })
    t.match([status, body.code], [405, 'METHOD_NOT_ALLOWED'], url)
    const allowed = String(headers.allow)
      .split(', ')
      .filter(method => method !== 'HEAD')
    t.strictSame(
      allowed,
      Object.keys(operations)
        .map(method => method.toUpperCase())
        .sort()
    )
  }
})

t.test('unusual methods and paths return 4xx', async t => {
  const lines = [
    'TRACE /users/me HTTP/1.1',
    'OPTIONS /users/me HTTP/1.1',
    'OPTIONS * HTTP/1.1',
    'PUT /users/me HTTP/1.1',
    'PROPFIND / HTTP/1.1',
    'GET //users/me HTTP/1.1',
    'GET /users//me HTTP/1.1',
    'GET /users/me/ HTTP/1.1',
    'GET /users/%6de/x HTTP/1.1',
    'GET /users/../users/me HTTP/1.1',
    'GET /users/%2e%2e/users/me HTTP/1.1',
    'GET /users/me%00 HTTP/1.1',
    'GET /users/me;x=1 HTTP/1.1',
    'GET /USERS/ME HTTP/1.1',
    'GET /%ff HTTP/1.1',
    'GET /%zz HTTP/1.1',
    'GET /__proto__ HTTP/1.1',
    'GET http://other.example/users/me HTTP/1.1',
    `GET /auth/sessions/${'1'.repeat(5000)} HTTP/1.1`,
    'CONNECT other.example:443 HTTP/1.1'
  ]
  for (const line of lines) {
    const received = await exchange(t, request(line, 'Authorization: Bearer x'))
    const [status = 0] = statuses(received)
    // Node closes a CONNECT request without a response.
    if (line.startsWith('CONNECT')) t.equal(received, '')
    else t.ok(status >= 400 && status < 500, `${line}: ${status}`)
    t.notOk(/Bearer x/.test(received), 'the token is not echoed')
  }
})

t.test('HEAD returns the headers of GET without a body', async t => {
  const token = `Authorization: Bearer ${ann.token}`
  const received = await exchange(t, request('HEAD /users/me HTTP/1.1', token))
  t.strictSame(statuses(received), [200])
  t.match(received, /content-length: \d+/i)
  t.ok(received.endsWith('\r\n\r\n'))
})

t.test('pipelined requests receive responses in order', async t => {
  const first = 'GET /users/me HTTP/1.1\r\nHost: a\r\n\r\n'
  const received = await exchange(
    t,
    first + request('GET /users/me HTTP/1.1', `Authorization: Bearer ${ann.token}`)
  )
  t.strictSame(statuses(received), [401, 200])
})

t.test('slow requests return 408 without delaying others', async t => {
  // Node applies the longer of the two timeouts to the whole request, and checks every 5 s.
  t.strictSame([app.server.headersTimeout, app.server.requestTimeout], [15_000, 15_000])
  Object.assign(app.server, { headersTimeout: 500, requestTimeout: 500 })
  const head = 'POST /auth/signin HTTP/1.1\r\nHost: a\r\n'
  const body = 'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{'
  const slow = [
    ...Array(100).fill('GET /users/me HTTP/1.1\r\nX: '),
    ...Array(100).fill(head + body)
  ]
  const sockets = slow.map(bytes => {
    const socket = connect(Number(port), '127.0.0.1').on('error', () => {})
    t.teardown(() => socket.destroy())
    let received = ''
    socket.on('data', chunk => {
      received += chunk
    })
    socket.write(bytes)
    const drip = setInterval(() => socket.write('a'), 200)
    // Unlike `once`, this does not reject on a write error.
    return new Promise<string>(resolve =>
      socket.once('close', () => {
        clearInterval(drip)
        resolve(received)
      })
    )
  })
  const replies = await times(50, () => call('GET', '/users/me', { token: ann.token }))
  t.ok(replies.every(({ status }) => status === 200))
  for (const received of await Promise.all(sockets)) t.strictSame(statuses(received), [408])
  Object.assign(app.server, { headersTimeout: 15_000, requestTimeout: 15_000 })
})

t.test('a body beyond the limit returns 413 before it arrives', async t => {
  const head = 'POST /auth/signin HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n'
  const received = await exchange(
    t,
    `${head}Content-Length: 999999999\r\nConnection: close\r\n\r\n{`
  )
  t.strictSame(statuses(received), [413])
})
