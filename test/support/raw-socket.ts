import { randomBytes } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { connect } from 'node:net'
import type { Test } from 'tap'

/** Opcodes of RFC 6455, 5.2. */
export const opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 }

export interface Frame {
  opcode: number
  payload: Buffer
}

export interface FrameOptions {
  isLast?: boolean
  isMasked?: boolean
  /** three bits that mean nothing without an extension */
  reserved?: number
  /** the length that the head tells, if it is another */
  length?: number
}

/** The bytes of a frame as a client sends it, or as it should not. */
export function frame(
  code: number,
  content: Buffer | string = '',
  options: FrameOptions = {}
): Buffer {
  const payload = Buffer.from(content)
  const { isLast = true, isMasked = true, reserved = 0, length = payload.length } = options
  const first = (isLast ? 0x80 : 0) | (reserved << 4) | code
  const mark = isMasked ? 0x80 : 0
  let head = Buffer.from([first, mark | length])
  if (length > 125 && length < 65_536) {
    head = Buffer.from([first, mark | 126, length >> 8, length & 255])
  } else if (length > 125) {
    head = Buffer.concat([Buffer.from([first, mark | 127]), Buffer.alloc(8)])
    head.writeBigUInt64BE(BigInt(length), 2)
  }
  if (!isMasked) return Buffer.concat([head, payload])
  const mask = randomBytes(4)
  const masked = payload.map((byte, n) => byte ^ (mask[n % 4] as number))
  return Buffer.concat([head, mask, masked])
}

/** A close frame with a code of two bytes, whatever it is. */
export function closeFrame(code: number, reason: Buffer | string = ''): Buffer {
  const payload = Buffer.concat([Buffer.alloc(2), Buffer.from(reason)])
  payload.writeUInt16BE(code)
  return frame(opcode.close, payload)
}

/** The head of a request for a WebSocket; a header that is null is left out. */
export function handshake(headers: Record<string, string | null>): string {
  const all = {
    host: 'localhost',
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': randomBytes(16).toString('base64'),
    ...headers
  }
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === null ? [] : [`${name}: ${value}`]
  )
  return ['GET /live HTTP/1.1', ...lines, '', ''].join('\r\n')
}

/** A connection on which every byte is ours: the status it was answered, and the frames that came. */
export async function openRaw(t: Test, url: string, head: string, ...rest: Buffer[]) {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const arrivals = new EventEmitter()
  const frames: Frame[] = []
  let bytes = Buffer.alloc(0)
  let answer: string | undefined
  let isClosed = false
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.on('data', chunk => {
    bytes = Buffer.concat([bytes, chunk])
    take()
    arrivals.emit('data')
  })
  socket.on('close', () => {
    isClosed = true
    arrivals.emit('data')
  })
  socket.write(Buffer.concat([Buffer.from(head), ...rest]))
  while (answer === undefined && !isClosed) await once(arrivals, 'data')

  return {
    socket,
    /** the head of the answer, with its status line */
    answer: answer ?? '',

    /** what came behind the head of an answer that is no 101 */
    body: () => bytes.toString(),

    /** The next frame, or undefined when the connection is over. */
    async next(): Promise<Frame | undefined> {
      while (frames.length === 0 && !isClosed) await once(arrivals, 'data')
      return frames.shift()
    },

    /** Resolves when the service has let go. */
    async closed() {
      while (!isClosed) await once(arrivals, 'data')
    }
  }

  function take() {
    if (answer === undefined) {
      const end = bytes.indexOf('\r\n\r\n')
      if (end < 0) return
      answer = bytes.toString('latin1', 0, end)
      bytes = bytes.subarray(end + 4)
    }
    if (!answer.startsWith('HTTP/1.1 101')) return
    for (let got = parse(bytes); got; got = parse(bytes)) {
      frames.push(got.frame)
      bytes = bytes.subarray(got.size)
    }
  }
}

/** A frame of a server, which is not masked. */
function parse(bytes: Buffer): { frame: Frame; size: number } | undefined {
  if (bytes.length < 2) return
  const short = (bytes[1] as number) & 127
  const head = short === 126 ? 4 : short === 127 ? 10 : 2
  if (bytes.length < head) return
  const length =
    short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short
  if (bytes.length < head + length) return
  const payload = bytes.subarray(head, head + length)
  return { frame: { opcode: (bytes[0] as number) & 15, payload }, size: head + length }
}
