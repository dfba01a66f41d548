import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'
import { COUNT, type ConnectionOptions, type SharedCounters } from './connections.ts'

/*
 * The worker thread of openConnections(). It searches the received bytes for a marker that each change contains once,
 * and parses nothing else, so that thousands of connections need a fraction of one core.
 */
const { url, count, headers, kind, opened, checklistId, changes, shared }: Options = workerData
type Options = Required<ConnectionOptions> & { shared: SharedCounters }

const { hostname, port, host } = new URL(url)
const isSocket = kind === 'socket'
const marker = Buffer.from(isSocket ? '"before":' : 'event: item.')
// The marker does not contain this byte, so a chunk that ends with it does not end within a marker.
const lastByte = (isSocket ? '}' : '\n').charCodeAt(0)
const upgrade = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': randomBytes(16).toString('base64')
}
const request = [
  `GET ${isSocket ? '/live' : '/events'} HTTP/1.1`,
  ...Object.entries({ host, ...headers, ...(isSocket && upgrade) }).map(
    ([name, value]) => `${name}: ${value}`
  ),
  '\r\n'
].join('\r\n')
const openList = JSON.stringify({ type: 'open', checklistId })
// Masked, as RFC 6455 requires, with a mask of zeros.
const openFrame = Buffer.from([0x81, 0x80 | openList.length, 0, 0, 0, 0, ...Buffer.from(openList)])
const pong = Buffer.from([0x8a, 0x80, 0, 0, 0, 0])
const pingByte = 0x89

const buffer = Buffer.alloc(1 << 16)
let started = 0
parentPort?.once('message', () => {
  while (started < Math.min(100, count)) open()
})
parentPort?.postMessage('ready')

function open() {
  started++
  let head = ''
  let isOpen = false
  let hasSentOpen = !isSocket || !checklistId
  let rest: Buffer | undefined
  let received = 0
  // All sockets share the buffer, because the callback does not keep it.
  const onread = { buffer, callback: onBytes }
  const socket: Socket = connect({ host: hostname, port: Number(port), onread, noDelay: true })
  socket.write(request)
  socket.on('error', () => {})
  socket.on('close', () => Atomics.add(shared.counts, COUNT.closed, 1))

  function onBytes(length: number, bytes: Uint8Array): boolean {
    const chunk = bytes.subarray(0, length) as Buffer
    if (isOpen) countChanges(chunk)
    else readHead(chunk)
    if (isSocket && chunk[0] === pingByte) socket.write(pong)
    return true
  }

  function readHead(chunk: Buffer) {
    head += chunk.toString('latin1')
    if (!hasSentOpen && head.includes('\r\n\r\n')) {
      hasSentOpen = true
      socket.write(openFrame)
    }
    const at = head.indexOf(opened)
    if (at < 0) return
    isOpen = true
    Atomics.add(shared.counts, COUNT.opened, 1)
    countChanges(Buffer.from(head.slice(at), 'latin1'))
    head = ''
    if (started < count) open()
  }

  function countChanges(chunk: Buffer) {
    const bytes = rest ? Buffer.concat([rest, chunk]) : chunk
    const before = received
    for (let at = bytes.indexOf(marker); at >= 0; at = bytes.indexOf(marker, at + marker.length))
      received++
    const isWhole = bytes[bytes.length - 1] === lastByte
    rest = isWhole ? undefined : Buffer.from(bytes.subarray(1 - marker.length))
    if (received > before) addLatencies(before)
  }

  function addLatencies(before: number) {
    Atomics.add(shared.counts, COUNT.received, received - before)
    const now = performance.timeOrigin + performance.now()
    const { sentAt, latencies } = shared
    for (let n = before; n < received; n++) {
      const ms = now - (sentAt[Math.floor(n / changes)] ?? now)
      const index = Math.min(latencies.length - 1, Math.max(0, Math.round(ms * 10)))
      latencies[index] = (latencies[index] ?? 0) + 1
    }
  }
}
