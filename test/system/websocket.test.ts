import t, { type Test } from 'tap'
import { build, listen } from '../support/app.ts'
import { readMetric } from '../support/metrics.ts'
import { closeFrame, frame, handshake, opcode, openRawSocket } from '../support/raw-socket.ts'
import { until } from '../support/until.ts'
import { createUser } from '../support/users.ts'

// Covers the server cases of the Autobahn test suite: framing, control frames, fragments, UTF-8, lengths, closing.

const app = await build(t, { RATE_LIMIT: 'on' })
const url = await listen(app)
const ann = await createUser(app)
const { text, binary, continuation, ping, pong, close } = opcode

const frameBytes = 256 * 1024
const pingMessage = (n: number, padding = 0) => `{"type":"ping","n":${n}}${' '.repeat(padding)}`
const euro = Buffer.from('€') // e2 82 ac

/** Opens a connection, sends bytes, and returns the received messages until pong message `last` or the close. */
async function exchange(t: Test, bytes: Buffer[], last?: number) {
  const raw = await openRawSocket(t, url, handshake({ ...ann.headers }))
  await raw.next()
  for (const one of bytes) raw.socket.write(one)
  const received: string[] = []
  for (let message = await raw.next(); message; message = await raw.next()) {
    if (message.opcode === close) {
      received.push(
        `close ${message.payload.length < 2 ? 'without a code' : message.payload.readUInt16BE(0)}`
      )
      raw.socket.write(frame(close, message.payload))
      await raw.closed()
      break
    }
    if (message.opcode === pong) received.push(`pong ${message.payload.length}`)
    if (message.opcode !== text) continue
    const { type, n, code } = JSON.parse(message.payload.toString())
    received.push(type === 'pong' ? `n ${n}` : `${type} ${code}`)
    if (type === 'pong' && n === last) break
  }
  raw.socket.destroy()
  return received
}

/** Sends the bytes, then a ping message, whose pong must come last. */
function accepts(name: string, bytes: Buffer[], ...received: string[]) {
  t.test(`the socket accepts ${name}`, async t => {
    t.strictSame(await exchange(t, [...bytes, frame(text, pingMessage(99))], 99), [
      ...received,
      'n 99'
    ])
  })
}

function closes(name: string, code: number | 'without a code', ...bytes: Buffer[]) {
  t.test(`${name} closes the socket with ${code}`, async t => {
    t.equal((await exchange(t, bytes)).at(-1), `close ${code}`)
  })
}

const bytewise = (bytes: Buffer) => [...bytes].map(byte => Buffer.from([byte]))
const fragments = (pieces: (Buffer | string)[]) =>
  pieces.map((piece, n) =>
    frame(n === 0 ? text : continuation, piece, { isLast: n === pieces.length - 1 })
  )

t.test('a bad WebSocket handshake returns an HTTP error before the 101', async t => {
  const responseHead = async (headers: Record<string, string | null>) =>
    (await openRawSocket(t, url, handshake({ ...ann.headers, ...headers }))).head
  const refused = async (status: number, code: string, headers: Record<string, string | null>) => {
    const raw = await openRawSocket(t, url, handshake({ ...ann.headers, ...headers }))
    t.match(raw.head, new RegExp(`^HTTP/1.1 ${status} .*content-type: application/json`, 'is'))
    await until(() => raw.body().endsWith('}'))
    t.match(JSON.parse(raw.body()), { statusCode: status, code, message: String })
    await raw.closed()
    return raw.head
  }
  t.match(await responseHead({}), /^HTTP\/1.1 101 .*sec-websocket-accept: /is)
  t.match(await responseHead({ upgrade: 'WebSocket' }), /^HTTP\/1.1 101 /)
  const version = await refused(400, 'BAD_HANDSHAKE', { 'sec-websocket-version': '12' })
  t.match(version, /sec-websocket-version: 13/i)
  await refused(400, 'BAD_HANDSHAKE', { 'sec-websocket-version': null })
  await refused(400, 'BAD_HANDSHAKE', { 'sec-websocket-key': null })
  await refused(400, 'BAD_HANDSHAKE', { 'sec-websocket-key': 'short' })
  await refused(400, 'BAD_HANDSHAKE', { 'sec-websocket-protocol': 'a, a' })
  for (const upgrade of ['h2c', 'websocket, h2c', 'websockets']) {
    const required = await refused(426, 'UPGRADE_REQUIRED', { upgrade })
    t.match(required, /upgrade: websocket/i)
  }
  await refused(426, 'UPGRADE_REQUIRED', { upgrade: null, connection: 'close' })
  await refused(401, 'NO_TOKEN', { authorization: null })
  await refused(403, 'FOREIGN_ORIGIN', { origin: 'https://evil.example' })
})

t.test('the handshake selects no extension and no subprotocol', async t => {
  const offers = {
    'sec-websocket-extensions': 'permessage-deflate', // compression would cost more CPU than the rest of the service
    'sec-websocket-protocol': `${ann.token}, concord`
  }
  const { head } = await openRawSocket(t, url, handshake({ ...ann.headers, ...offers }))
  t.match(head, /^HTTP\/1.1 101 /)
  t.notMatch(head, /sec-websocket-(extensions|protocol)/i)
})

t.test('a message in the same packet as the handshake is received', async t => {
  const raw = await openRawSocket(
    t,
    url,
    handshake({ ...ann.headers }),
    frame(text, pingMessage(1))
  )
  await raw.next()
  t.match(JSON.parse(String((await raw.next())?.payload)), { type: 'pong', n: 1 })
})

accepts('a message in one frame', [frame(text, pingMessage(1))], 'n 1')
accepts('one byte per packet', bytewise(frame(text, pingMessage(1))), 'n 1')
accepts(
  'several frames per packet',
  [Buffer.concat([1, 2, 3].map(n => frame(text, pingMessage(n))))],
  'n 1',
  'n 2',
  'n 3'
)
accepts('one byte per fragment', fragments([...pingMessage(1)]), 'n 1')
accepts(
  'empty fragments',
  fragments(['', pingMessage(1).slice(0, 5), '', pingMessage(1).slice(5), '']),
  'n 1'
)
accepts(
  'a character in two fragments',
  fragments([
    Buffer.concat([Buffer.from('{"type":"'), euro.subarray(0, 1)]),
    Buffer.concat([euro.subarray(1), Buffer.from('"}')])
  ]),
  'error BAD_MESSAGE'
)
accepts('an empty message', [frame(text)], 'error BAD_MESSAGE')
accepts(
  'a control frame between fragments',
  [
    frame(text, pingMessage(1).slice(0, 5), { isLast: false }),
    frame(ping, 'still there?'),
    frame(continuation, pingMessage(1).slice(5))
  ],
  'pong 12',
  'n 1'
)
accepts(
  'pings of 0 and 125 bytes',
  [frame(ping), frame(ping, 'x'.repeat(125))],
  'pong 0',
  'pong 125'
)
accepts(
  'ten pings at once',
  [Buffer.concat(Array.from({ length: 10 }, () => frame(ping, 'x')))],
  ...Array(10).fill('pong 1')
)
accepts('unsolicited pongs', [frame(pong, 'x'), frame(pong)])
for (const length of [125, 126, 127, 65_535, 65_536, frameBytes]) {
  accepts(
    `a message of ${length} bytes`,
    [frame(text, pingMessage(1, length - pingMessage(1).length))],
    'n 1'
  )
}

closes(
  'a message of one byte too many',
  1009,
  frame(text, pingMessage(1, frameBytes + 1 - pingMessage(1).length))
)
closes(
  'fragments of too many bytes in total',
  1009,
  ...fragments(Array(5).fill('x'.repeat(frameBytes / 4)))
)
closes('a header that announces a terabyte', 1009, frame(text, '', { length: 2 ** 40 }))
closes('a binary message', 1003, frame(binary, '{}'))
for (const reserved of [1, 2, 4, 7]) {
  closes(`reserved bits ${reserved}`, 1002, frame(text, pingMessage(1), { reserved }))
}
for (const code of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
  closes(`reserved opcode ${code}`, 1002, frame(code, 'x'))
}
closes('an unmasked frame', 1002, frame(text, pingMessage(1), { isMasked: false }))
closes('a ping of 126 bytes', 1002, frame(ping, 'x'.repeat(126)))
closes('a fragmented ping', 1002, frame(ping, 'x', { isLast: false }))
closes('a fragmented close', 1002, frame(close, '', { isLast: false }))
closes('a continuation without a start', 1002, frame(continuation, 'x'))
closes(
  'a continuation after the last fragment',
  1002,
  ...fragments([pingMessage(1), '']),
  frame(continuation)
)
closes(
  'a new message within a fragmented one',
  1002,
  frame(text, 'x', { isLast: false }),
  frame(text, pingMessage(1))
)

const notUtf8: Record<string, number[]> = {
  'a lone continuation byte': [0x80],
  'an overlong slash': [0xc0, 0xaf],
  'a surrogate': [0xed, 0xa0, 0x80],
  'beyond Unicode': [0xf4, 0x90, 0x80, 0x80],
  'a character cut short': [0xe2, 0x82],
  'a byte that never occurs': [0xff]
}
for (const [name, bytes] of Object.entries(notUtf8)) {
  closes(`invalid UTF-8 (${name})`, 1007, frame(text, Buffer.from([0x22, ...bytes, 0x22])))
}
closes('fragments of invalid UTF-8', 1007, ...fragments([euro.subarray(0, 2), Buffer.from('"')]))

closes('a close without a code', 'without a code', frame(close))
for (const code of [1000, 1001, 1003, 1007, 1011, 3000, 3999, 4000, 4999]) {
  closes(`a close with ${code} and a reason`, code, closeFrame(code, 'r'.repeat(123)))
}
for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]) {
  closes(`a close with the reserved code ${code}`, 1002, closeFrame(code))
}
closes('a close of one byte', 1002, frame(close, 'x'))
closes('a close of 126 bytes', 1002, closeFrame(1000, 'r'.repeat(124)))
closes('a close with an invalid UTF-8 reason', 1007, closeFrame(1000, Buffer.from([0xff])))
closes('a message after the close', 1000, closeFrame(1000), frame(text, pingMessage(1)))
closes(
  'more than 500 messages at once',
  4429,
  Buffer.concat(Array.from({ length: 700 }, () => frame(text, pingMessage(1))))
)

t.test('400 messages at once receive responses in order', async t => {
  const all = Array.from({ length: 400 }, (_, n) => n + 1)
  const received = await exchange(
    t,
    [Buffer.concat(all.map(n => frame(text, pingMessage(n))))],
    400
  )
  t.strictSame(
    received,
    all.map(n => `n ${n}`)
  )
})

t.test('a client that disconnects within a message leaves no open socket', async t => {
  const halves = [
    frame(text, pingMessage(1)).subarray(0, 9),
    frame(text, 'x', { isLast: false }),
    Buffer.alloc(0)
  ]
  for (const half of halves) {
    const raw = await openRawSocket(t, url, handshake({ ...ann.headers }))
    raw.socket.write(half)
    await raw.next()
    raw.socket.resetAndDestroy()
  }
  await until(async () => {
    const live = await readMetric(app, 'concord_sockets{state="live"}')
    const lagging = await readMetric(app, 'concord_sockets{state="lagging"}')
    return live === 0 && lagging === 0
  })
})
