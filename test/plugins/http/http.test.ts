import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'

import { listen } from '../../support/app.ts'
import { sendBytes } from '../../support/send-bytes.ts'
import { buildHttp } from './http-setup.ts'

t.test('a known path returns 405 and Allow for other methods', async t => {
  const app = await buildHttp(t)
  const id = '0198c5a2-7f43-7cc1-9d2e-5b8c6a1e4f00'
  const send = async (method: string, url: string, headers = {}) => {
    const {
      statusCode,
      headers: received,
      body
    } = await app.inject({ method: method as 'GET', url, headers })
    return [statusCode, received.allow, method === 'HEAD' || JSON.parse(body || '{}').code]
  }
  const refused: [string, string, string][] = [
    ['GET', '/notes', 'POST'],
    ['HEAD', '/notes', 'POST'],
    ['OPTIONS', '/notes', 'POST'],
    ['PUT', '/notes', 'POST'],
    ['TRACE', '/notes', 'POST'],
    ['QUERY', '/notes', 'POST'],
    ['PROPFIND', '/notes', 'POST'],
    ['DELETE', `/notes/${id}?limit=1`, 'GET, HEAD'],
    ['POST', '/n%6ftes/x', 'GET, HEAD'],
    ['POST', '/empty', 'DELETE, GET, HEAD']
  ]
  for (const [method, url, allow] of refused) {
    const code = method === 'HEAD' || 'METHOD_NOT_ALLOWED'
    t.strictSame(await send(method, url), [405, allow, code], `${method} ${url}`)
  }
  const large = { 'content-type': 'text/plain', 'content-length': '999999999' }
  t.strictSame(await send('PUT', '/notes', large), [405, 'POST', 'METHOD_NOT_ALLOWED'])
  for (const method of ['GET', 'QUERY', 'OPTIONS', 'POST']) {
    t.strictSame(await send(method, '/nowhere'), [404, undefined, 'ROUTE_NOT_FOUND'], method)
  }
})

t.test('a CORS preflight returns 204 despite the 405 handler', async t => {
  const app = await buildHttp(t, { ALLOWED_ORIGINS: 'https://app.example.com' })
  const headers = { origin: 'https://app.example.com', 'access-control-request-method': 'PATCH' }
  const preflight = await app.inject({ method: 'OPTIONS', url: '/anything', headers })
  t.equal(preflight.statusCode, 204)
  t.match(preflight.headers, {
    'access-control-allow-origin': headers.origin,
    'access-control-allow-methods': /PATCH/,
    'access-control-max-age': '600'
  })
  const { origin } = headers
  const refused = await app.inject({ method: 'PUT', url: '/anything', headers: { origin } })
  t.equal(refused.statusCode, 405)
  t.equal(
    refused.headers['access-control-allow-origin'],
    origin,
    'the error response has CORS headers'
  )
})

t.test('query and path parameters are coerced, errors name the parameter', async t => {
  const app = await buildHttp(t)
  const id = '0198c5a2-7f43-7cc1-9d2e-5b8c6a1e4f00'
  t.strictSame((await app.inject(`/notes/${id}`)).json(), { limit: 10 })
  t.strictSame((await app.inject(`/notes/${id}?limit=5&project=a`)).json(), {
    limit: 5,
    project: ['a']
  })
  t.match((await app.inject(`/notes/${id}?limit=x`)).json(), {
    code: 'FST_ERR_VALIDATION',
    message: /querystring\/limit/
  })
  t.match((await app.inject('/notes/1')).json(), {
    code: 'FST_ERR_VALIDATION',
    message: /params\/id/
  })
})

t.test('an internal error returns 500 without its message', async t => {
  const app = await buildHttp(t)
  const response = await app.inject('/broken')
  t.strictSame(response.json(), {
    statusCode: 500,
    code: 'INTERNAL',
    error: 'Internal Server Error',
    message: 'something went wrong on our side'
  })
  t.equal((await app.inject('/odd')).statusCode, 500)
})

t.test('responses of /auth have Cache-Control: no-store', async t => {
  const app = await buildHttp(t)
  const personal = await app.inject({ method: 'POST', url: '/auth/refresh' })
  t.equal(personal.headers['cache-control'], 'no-store')
  t.equal(personal.headers['x-content-type-options'], 'nosniff')
  t.notOk((await app.inject({ method: 'PATCH', url: '/anything' })).headers['cache-control'])
})

t.test('only listed origins receive Access-Control-Allow-Origin', async t => {
  const app = await buildHttp(t, { ALLOWED_ORIGINS: 'https://app.example.com' })
  const responseHeaders = async (origin: string) =>
    (await app.inject({ method: 'POST', url: '/auth/refresh', headers: { origin } })).headers
  t.match(await responseHeaders('https://app.example.com'), {
    'access-control-allow-origin': 'https://app.example.com',
    'access-control-allow-credentials': 'true'
  })
  for (const origin of ['https://evil.example', 'https://app.example.com.evil.example', 'null']) {
    t.notOk((await responseHeaders(origin))['access-control-allow-origin'], origin)
  }
})

t.test("isAllowedOrigin accepts only the service's own and listed origins", async t => {
  const app = await buildHttp(t, { ALLOWED_ORIGINS: 'https://app.example.com' })
  const allowed = (origin: string, host = 'api.example.com:3000') =>
    app.isAllowedOrigin(origin, host)
  t.ok(allowed('https://app.example.com'))
  t.ok(allowed('http://api.example.com:3000'))
  t.ok(allowed('https://api.example.com:3000', 'API.example.com:3000'))
  for (const origin of ['null', '', 'http://api.example.com', 'https://evil.example', '*']) {
    t.notOk(allowed(origin), origin)
  }
})

t.test('bytes that are not HTTP return 4xx, and the server continues', async t => {
  const app = await buildHttp(t)
  const url = await listen(app)
  t.match(await sendBytes(t, url, 'GARBAGE\r\n\r\n'), /^HTTP\/1.1 400 .*"code":"CLIENT_ERROR"/s)
  t.match(await sendBytes(t, url, '\x16\x03\x01\x02\x00\x01'), /^HTTP\/1.1 400 /)
  t.match(
    await sendBytes(t, url, `GET / HTTP/1.1\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`),
    /^HTTP\/1.1 431 /
  )
  const twice =
    'POST /notes HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}'
  t.match(await sendBytes(t, url, twice), /^HTTP\/1.1 400 /)
  const end = '\r\nHost: a\r\nConnection: close\r\n\r\n'
  t.match(await sendBytes(t, url, `GET /%zz HTTP/1.1${end}`), /^HTTP\/1.1 400 .*FST_ERR_BAD_URL/s)
  t.match(
    await sendBytes(t, url, `GET /notes/${'1'.repeat(500)} HTTP/1.1${end}`),
    /^HTTP\/1.1 4\d\d /
  )
  t.match(await sendBytes(t, url, `TRACE / HTTP/1.1${end}`), /^HTTP\/1.1 404 .*ROUTE_NOT_FOUND/s)
  t.match(await sendBytes(t, url, `POST /auth/refresh HTTP/1.1${end}`), /^HTTP\/1.1 200 /)
  const chunked =
    '\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n'
  t.match(await sendBytes(t, url, `POST /notes HTTP/1.1${chunked}`), /^HTTP\/1.1 415 /)
})

t.test('closing the service does not wait for a stalled client', { timeout: 20_000 }, async t => {
  const app = await buildHttp(t)
  const url = await listen(app)
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  const head = 'Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{'
  const arrived = once(app.server, 'request')
  socket.write(`POST /notes HTTP/1.1\r\nHost: a\r\n${head}`)
  await arrived
  const ended = once(socket.on('error', () => {}).resume(), 'close')
  await app.close()
  await ended
  t.pass('closed')
})
