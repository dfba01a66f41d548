import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { bare } from '../../../app.ts'
import configuration, { readConfig } from '../../../plugins/config.ts'
import errors from '../../../plugins/http/errors.ts'
import headers from '../../../plugins/http/headers.ts'
import json from '../../../plugins/http/json.ts'
import notFound from '../../../plugins/http/not-found.ts'
import origins from '../../../plugins/http/origins.ts'
import drain from '../../../plugins/http/shutdown.ts'
import upgrade from '../../../plugins/http/upgrade.ts'
import { wellFormed } from '../../../schemas/scalars.ts'
import { until } from '../../support/until.ts'

const Note = Type.Object(
  {
    text: Type.String({ ...wellFormed, minLength: 1, maxLength: 100 }),
    done: Type.Optional(Type.Boolean()),
    tags: Type.Optional(Type.Array(Type.String(wellFormed), { maxItems: 3 })),
    id: Type.Optional(Type.String({ format: 'uuid' })),
    due: Type.Optional(Type.String({ format: 'date' })),
    kind: Type.Optional(Type.Unsafe<string>({ type: 'string', enum: ['a', 'b'] }))
  },
  { additionalProperties: false }
)

/** Builds the HTTP plugins without a database, with routes for these tests. */
async function buildHttp(t: Test, env: NodeJS.ProcessEnv = {}): Promise<FastifyInstance> {
  const config = readConfig({
    DATABASE_URL: 'postgres://nowhere',
    JWT_SECRET: 'x'.repeat(32),
    LOG_LEVEL: 'silent',
    ...env
  })
  const app = bare(config)
  t.teardown(() => app.close())
  await app.register(configuration, { config })
  for (const plugin of [errors, drain, headers, json, notFound, origins, upgrade]) {
    await app.register(plugin)
  }
  app.post('/notes', { schema: { body: Note } }, async request => request.body)
  app.patch('/anything', async request => request.body ?? null)
  app.post('/auth/refresh', async request => ({ body: request.body ?? null }))
  app.route({
    method: ['GET', 'DELETE'],
    url: '/empty',
    handler: async request => ({ body: request.body ?? null })
  })
  app.get(
    '/notes/:id',
    {
      schema: {
        params: Type.Object({ id: Type.String({ format: 'uuid' }) }),
        querystring: Type.Object({
          limit: Type.Integer({ minimum: 1, maximum: 100, default: 10 }),
          project: Type.Optional(Type.Array(Type.String()))
        })
      }
    },
    async request => request.query
  )
  app.get('/broken', async () => {
    throw new Error('password of the database is hunter2')
  })
  app.get('/odd', async () => {
    throw Object.assign(new Error('odd'), { statusCode: 200 })
  })
  await app.ready()
  return app
}

function post(app: FastifyInstance, payload: string | Buffer, type = 'application/json') {
  return app.inject({ method: 'POST', url: '/notes', payload, headers: { 'content-type': type } })
}

t.test('a valid body is accepted unchanged', async t => {
  const app = await buildHttp(t)
  const body = { text: '\u{1f600} é \n', done: true, tags: ['a'], due: '2024-02-29', kind: 'a' }
  t.strictSame((await post(app, JSON.stringify(body))).json(), body)
  t.equal((await post(app, '{"text":"a"}', 'application/json; charset=utf-8')).statusCode, 200)
  t.equal((await post(app, '{"text":"\\ud83d\\ude00"}')).json().text, '\u{1f600}')
})

t.test('a body is never coerced, the error names the field', async t => {
  const app = await buildHttp(t)
  const refused: [unknown, RegExp][] = [
    [{ text: null }, /body\/text must be string/],
    [{ text: ['a'] }, /body\/text must be string/],
    [{ text: 1 }, /body\/text must be string/],
    [{ text: 'a', done: 'true' }, /body\/done must be boolean/],
    [{ text: 'a', done: 1 }, /body\/done must be boolean/],
    [{ text: 'a', tags: 'a' }, /body\/tags must be array/],
    [{ text: 'a', tags: ['a', 2] }, /body\/tags\/1 must be string/],
    [{ text: '' }, /body\/text must NOT have fewer than 1 characters/],
    [{ text: 'a', admin: true }, /body\/admin is not known here/],
    [{ text: 'a', id: 'urn:uuid:0198c5a2-7f43-7cc1-9d2e-5b8c6a1e4f00' }, /body\/id/],
    [{ text: 'a', due: '2023-02-29' }, /body\/due/],
    [{ text: 'a', kind: 'c' }, /body\/kind .*: a, b/],
    [{}, /text/],
    [[], /body must be object/],
    ['text', /body must be object/],
    [null, /body must be object/]
  ]
  for (const [body, message] of refused) {
    const response = await post(app, JSON.stringify(body))
    t.match(
      response.json(),
      { statusCode: 400, code: 'FST_ERR_VALIDATION', error: 'Bad Request', message },
      JSON.stringify(body)
    )
    t.equal(response.statusCode, 400)
  }
  const long = await post(app, JSON.stringify({ text: 'a', ['k'.repeat(10_000)]: 1 }))
  t.ok(long.body.length < 300, 'the error does not repeat the body')
})

t.test('a body that is not well-formed JSON in UTF-8 returns 400', async t => {
  const app = await buildHttp(t)
  const refused: [string | Buffer, RegExp][] = [
    ['', /body must be object/],
    ['{', /JSON/],
    ['{"text":"a"} trailing', /JSON/],
    ['{"text":"a\u0000"}', /JSON/],
    ['{"text":"a\\u0000"}', /body\/text must match pattern/],
    ['{"text":"a","a\\u0000":"a"}', /is not known here/],
    ['{"text":"\\ud800"}', /body\/text must match pattern/],
    ['{"text":"a","tags":["\\udc00\\ud800"]}', /body\/tags\/0 must match pattern/],
    ['{"text":"a","\\ud800":1}', /is not known here/],
    [Buffer.from([0x22, 0xff, 0x22]), /UTF-8/],
    [Buffer.from('{"text":"\xe9"}', 'latin1'), /UTF-8/],
    [Buffer.from('{"text":"a"}', 'utf16le'), /JSON|UTF-8/],
    [Buffer.from('7b2274657874223a22eda08022 7d'.replace(' ', ''), 'hex'), /UTF-8/],
    ['{"text":"a","__proto__":{"admin":true}}', /JSON/],
    ['{"text":"a","constructor":{"prototype":{"admin":true}}}', /JSON/],
    ['['.repeat(200_000), /JSON/],
    ['['.repeat(100_000) + ']'.repeat(100_000), /body must be object/]
  ]
  for (const [body, message] of refused) {
    const response = await post(app, body)
    t.equal(response.statusCode, 400, JSON.stringify(String(body).slice(0, 40)))
    t.match(response.json().message, message)
    t.ok(response.json().code)
  }
  t.notOk('admin' in {})
})

t.test('only application/json up to the size limit is accepted', async t => {
  const app = await buildHttp(t)
  const types = ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', 'nonsense']
  for (const type of types) t.equal((await post(app, '{"text":"a"}', type)).statusCode, 415, type)
  const none = await app.inject({ method: 'POST', url: '/notes', payload: Buffer.from('{}') })
  t.equal(none.statusCode, 415)
  const large = await post(app, JSON.stringify({ text: 'a'.repeat(256 * 1024) }))
  t.match(large.json(), { statusCode: 413, code: 'FST_ERR_CTP_BODY_TOO_LARGE' })
})

t.test('a route without a body accepts every empty body', async t => {
  const app = await buildHttp(t)
  await app.listen({ port: 0 })
  const { port } = app.server.address() as { port: number }
  const types = [
    undefined,
    '',
    'application/json',
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/octet-stream',
    'nonsense'
  ]
  const framings = {
    '': '',
    'Content-Length: 0\r\n': '',
    'Transfer-Encoding: chunked\r\n': '0\r\n\r\n'
  }
  for (const type of types) {
    for (const [framing, body] of Object.entries(framings)) {
      for (const line of ['POST /auth/refresh', 'DELETE /empty', 'GET /empty']) {
        const head = `${framing}${type === undefined ? '' : `Content-Type: ${type}\r\n`}`
        const bytes = `${line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${head}\r\n${body}`
        t.match(await raw(port, bytes), /^HTTP\/1.1 200 .*\{"body":null\}$/s, `${line} ${head}`)
      }
    }
  }
})

t.test('an aborted body returns 400, not 500', async t => {
  const app = await buildHttp(t)
  const replies: ServerResponse[] = []
  app.server.on('request', (_request, reply) => replies.push(reply))
  await app.listen({ port: 0 })
  const { port } = app.server.address() as { port: number }
  for (const type of ['application/json', 'text/plain']) {
    const arrived = once(app.server, 'request')
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    const head = `Host: a\r\nContent-Type: ${type}\r\nContent-Length: 9\r\n\r\n`
    socket.write(`POST /auth/refresh HTTP/1.1\r\n${head}`)
    await arrived
    socket.resetAndDestroy()
  }
  const statuses = () => replies.map(({ statusCode }) => statusCode)
  await until(() => !statuses().includes(200))
  t.strictSame(statuses(), [400, 400])
})

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
  t.equal(refused.headers['access-control-allow-origin'], origin, 'CORS headers are on the error')
})

t.test('an Upgrade header is ignored and the body is read', async t => {
  const app = await buildHttp(t)
  await app.listen({ port: 0 })
  const { port } = app.server.address() as { port: number }
  const http2 =
    'Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n'
  const upgrades = [`${http2}Upgrade: h2c`, 'Connection: Upgrade\r\nUpgrade: websocket']
  for (const upgrade of upgrades) {
    const json = 'Content-Type: application/json\r\nContent-Length: 12\r\n\r\n{"text":"a"}'
    const first = `POST /notes HTTP/1.1\r\nHost: a\r\n${upgrade}\r\n${json}`
    const [response, ...more] = (await raw(port, first + first)).split('HTTP/1.1 ').slice(1)
    t.match(response, /^200 .*connection: close.*\{"text":"a"\}$/is)
    t.strictSame(more, [], 'a second request in the same packet gets no response')
  }
})

t.test('query and path parameters are coerced, errors name them', async t => {
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

t.test('an internal error returns 500 without details', async t => {
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

t.test('personal responses are not cached', async t => {
  const app = await buildHttp(t)
  const personal = await app.inject({ method: 'POST', url: '/auth/refresh' })
  t.equal(personal.headers['cache-control'], 'no-store')
  t.equal(personal.headers['x-content-type-options'], 'nosniff')
  t.notOk((await app.inject({ method: 'PATCH', url: '/anything' })).headers['cache-control'])
})

t.test('only listed origins may read responses', async t => {
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

t.test('isAllowedOrigin accepts only the own and the listed origins', async t => {
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

t.test('bytes that are not HTTP return an error, the server continues', async t => {
  const app = await buildHttp(t)
  await app.listen({ port: 0 })
  const { port } = app.server.address() as { port: number }
  t.match(await raw(port, 'GARBAGE\r\n\r\n'), /^HTTP\/1.1 400 .*"code":"CLIENT_ERROR"/s)
  t.match(await raw(port, '\x16\x03\x01\x02\x00\x01'), /^HTTP\/1.1 400 /)
  t.match(await raw(port, `GET / HTTP/1.1\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1.1 431 /)
  const twice =
    'POST /notes HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}'
  t.match(await raw(port, twice), /^HTTP\/1.1 400 /)
  const end = '\r\nHost: a\r\nConnection: close\r\n\r\n'
  t.match(await raw(port, `GET /%zz HTTP/1.1${end}`), /^HTTP\/1.1 400 .*FST_ERR_BAD_URL/s)
  t.match(await raw(port, `GET /notes/${'1'.repeat(500)} HTTP/1.1${end}`), /^HTTP\/1.1 4\d\d /)
  t.match(await raw(port, `TRACE / HTTP/1.1${end}`), /^HTTP\/1.1 404 .*ROUTE_NOT_FOUND/s)
  t.match(await raw(port, `POST /auth/refresh HTTP/1.1${end}`), /^HTTP\/1.1 200 /)
  const chunked =
    '\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n'
  t.match(await raw(port, `POST /notes HTTP/1.1${chunked}`), /^HTTP\/1.1 415 /)
})

t.test('close does not wait for a stalled client', { timeout: 20_000 }, async t => {
  const app = await buildHttp(t)
  await app.listen({ port: 0 })
  const { port } = app.server.address() as { port: number }
  const socket = connect(port, '127.0.0.1')
  const head = 'Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{'
  const arrived = once(app.server, 'request')
  socket.write(`POST /notes HTTP/1.1\r\nHost: a\r\n${head}`)
  await arrived
  const ended = once(socket.on('error', () => {}).resume(), 'close')
  await app.close()
  await ended
  t.pass('closed')
})

async function raw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(bytes, 'latin1')
  const chunks: Buffer[] = []
  socket.on('data', chunk => chunks.push(chunk))
  socket.on('error', () => {})
  await once(socket, 'close')
  return Buffer.concat(chunks).toString()
}
