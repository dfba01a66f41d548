import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect } from 'node:net'
import t from 'tap'
import { listen } from '../../support/app.ts'
import { sendBytes } from '../../support/send-bytes.ts'
import { until } from '../../support/until.ts'
import { buildHttp, postNote } from './http-setup.ts'

t.test('a valid JSON body reaches the route unchanged', async t => {
  const app = await buildHttp(t)
  const body = { text: '\u{1f600} é \n', done: true, tags: ['a'], due: '2024-02-29', kind: 'a' }
  t.strictSame((await postNote(app, JSON.stringify(body))).json(), body)
  t.equal((await postNote(app, '{"text":"a"}', 'application/json; charset=utf-8')).statusCode, 200)
  t.equal((await postNote(app, '{"text":"\\ud83d\\ude00"}')).json().text, '\u{1f600}')
})

t.test('a field of a wrong type returns 400 and is not coerced', async t => {
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
    const response = await postNote(app, JSON.stringify(body))
    t.match(
      response.json(),
      { statusCode: 400, code: 'FST_ERR_VALIDATION', error: 'Bad Request', message },
      JSON.stringify(body)
    )
    t.equal(response.statusCode, 400)
  }
  const long = await postNote(app, JSON.stringify({ text: 'a', ['k'.repeat(10_000)]: 1 }))
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
    const response = await postNote(app, body)
    t.equal(response.statusCode, 400, JSON.stringify(String(body).slice(0, 40)))
    t.match(response.json().message, message)
    t.ok(response.json().code)
  }
  t.notOk('admin' in {})
})

t.test('another content type returns 415, a body beyond the limit 413', async t => {
  const app = await buildHttp(t)
  const types = ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', 'nonsense']
  for (const type of types)
    t.equal((await postNote(app, '{"text":"a"}', type)).statusCode, 415, type)
  const none = await app.inject({ method: 'POST', url: '/notes', payload: Buffer.from('{}') })
  t.equal(none.statusCode, 415)
  const large = await postNote(app, JSON.stringify({ text: 'a'.repeat(256 * 1024) }))
  t.match(large.json(), { statusCode: 413, code: 'FST_ERR_CTP_BODY_TOO_LARGE' })
})

t.test('a route without a body accepts an empty body of any type', async t => {
  const app = await buildHttp(t)
  const url = await listen(app)
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
        t.match(
          await sendBytes(t, url, bytes),
          /^HTTP\/1.1 200 .*\{"body":null\}$/s,
          `${line} ${head}`
        )
      }
    }
  }
})

t.test('a request aborted within its body has status 400, not 500', async t => {
  const app = await buildHttp(t)
  const replies: ServerResponse[] = []
  app.server.on('request', (_request, reply) => replies.push(reply))
  const url = await listen(app)
  for (const type of ['application/json', 'text/plain']) {
    const arrived = once(app.server, 'request')
    const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => {})
    const head = `Host: a\r\nContent-Type: ${type}\r\nContent-Length: 9\r\n\r\n`
    socket.write(`POST /auth/refresh HTTP/1.1\r\n${head}`)
    await arrived
    socket.resetAndDestroy()
  }
  const statuses = () => replies.map(({ statusCode }) => statusCode)
  await until(() => !statuses().includes(200))
  t.strictSame(statuses(), [400, 400])
})

t.test('a POST with an Upgrade header is handled as a normal request', async t => {
  const app = await buildHttp(t)
  const url = await listen(app)
  const http2 =
    'Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n'
  const upgrades = [`${http2}Upgrade: h2c`, 'Connection: Upgrade\r\nUpgrade: websocket']
  for (const upgrade of upgrades) {
    const json = 'Content-Type: application/json\r\nContent-Length: 12\r\n\r\n{"text":"a"}'
    const first = `POST /notes HTTP/1.1\r\nHost: a\r\n${upgrade}\r\n${json}`
    const [response, ...more] = (await sendBytes(t, url, first + first)).split('HTTP/1.1 ').slice(1)
    t.match(response, /^200 .*connection: close.*\{"text":"a"\}$/is)
    t.strictSame(more, [], 'a second request in the same packet gets no response')
  }
})
