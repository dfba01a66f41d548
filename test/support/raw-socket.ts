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
  /** the three reserved bits, which must be 0 without an extension */
  reserved?: number
  /** the length in the header, when it differs from the real one */
  length?: number
}

/** Returns the bytes of a client frame, which may be invalid. */
export function frame(
  code: number,
  content: Buffer | string = '',
  options: FrameOptions = {}
): Buffer {
  const payload = Buffer.from(content)
  const { isLast = true, isMasked = true, reserved = 0, length = payload.length } = options
  const first = (isLast ? 0x80 : 0) | (reserved << 4) | code
  const maskBit = isMasked ? 0x80 : 0
  let head = Buffer.from([first, maskBit | length])
  if (length > 125 && length < 65_536) {
    head = Buffer.from([first, maskBit | 126, length >> 8, length & 255])
  } else if (length > 125) {
    head = Buffer.concat([Buffer.from([first, maskBit | 127]), Buffer.alloc(8)])
    head.writeBigUInt64BE(BigInt(length), 2)
  }
  if (!isMasked) return Buffer.concat([head, payload])
  const mask = randomBytes(4)
  const masked = payload.map((byte, n) => byte ^ (mask[n % 4] as number))
  return Buffer.concat([head, mask, masked])
}

/** Returns a close frame with any code of two bytes. */
export function closeFrame(code: number, reason: Buffer | string = ''): Buffer {
  const payload = Buffer.concat([Buffer.alloc(2), Buffer.from(reason)])
  payload.writeUInt16BE(code)
  return frame(opcode.close, payload)
}

/** Returns the head of a WebSocket handshake. A header that is null is omitted. */
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

/** Opens a connection, sends `head` and `rest`, and waits for the head of the response. */
export async function openRawSocket(t: Test, url: string, head: string, ...rest: Buffer[]) {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const arrivals = new EventEmitter()
  const frames: Frame[] = []
  let bytes = Buffer.alloc(0)
  let responseHead: string | undefined
  let isClosed = false
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.on('data', chunk => {
    bytes = Buffer.concat([bytes, chunk])
    receive()
    arrivals.emit('data')
  })
  socket.on('close', () => {
    isClosed = true
    arrivals.emit('data')
  })
  socket.write(Buffer.concat([Buffer.from(head), ...rest]))
  while (responseHead === undefined && !isClosed) await once(arrivals, 'data')

  return {
    socket,
    /** the head of the response, with its status line */
    head: responseHead ?? '',

    /** Returns the bytes received after the head of a response that is not 101. */
    body: () => bytes.toString(),

    /** Returns the next frame, or undefined when the connection is closed. */
    async next(): Promise<Frame | undefined> {
      while (frames.length === 0 && !isClosed) await once(arrivals, 'data')
      return frames.shift()
    },

    /** Resolves when the connection is closed. */
    async closed() {
      while (!isClosed) await once(arrivals, 'data')
    }
  }

  function receive() {
    if (responseHead === undefined) {
      const end = bytes.indexOf('\r\n\r\n')
      if (end < 0) return
      responseHead = bytes.toString('latin1', 0, end)
      bytes = bytes.subarray(end + 4)
    }
    if (!responseHead.startsWith('HTTP/1.1 101')) return
    for (let parsed = parse(bytes); parsed; parsed = parse(bytes)) {
      frames.push(parsed.frame)
      bytes = bytes.subarray(parsed.size)
    }
  }
}

/** Parses a frame of a server, which is not masked. Returns undefined when bytes are missing. */
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
