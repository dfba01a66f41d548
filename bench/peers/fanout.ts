import { createServer, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import postgres from 'postgres'
import { type WebSocket, WebSocketServer } from 'ws'

/*
 * Sends the same bytes to all streams and sockets, in the way of the variable WAY: `res.write`, `socket.write`,
 * `ws.send` or `frame`, a prebuilt WebSocket frame written to the TCP socket. A notification of PostgreSQL contains the
 * number of changes to send.
 */
const { WAY, CHANGE = '', DATABASE_URL = '' } = process.env
const change = Buffer.from(CHANGE)
const chunk = Buffer.from(`${change.length.toString(16)}\r\n${CHANGE}\r\n`)
const frame = Buffer.concat([frameHeader(change.length), change])
const streams = new Set<ServerResponse>()
const streamSockets = new Set<Duplex>()
const sockets = new Map<WebSocket, Duplex>()

const ways: Record<string, () => void> = {
  'res.write': () => {
    for (const stream of streams) stream.write(change)
  },
  'socket.write': () => {
    for (const socket of streamSockets) socket.write(chunk)
  },
  'ws.send': () => {
    for (const socket of sockets.keys()) socket.send(change, { binary: false })
  },
  frame: () => {
    for (const socket of sockets.values()) socket.write(frame)
  }
}
const send = ways[WAY ?? ''] ?? (() => {})

const server = createServer((request, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' }).write('retry: 1000\n\n')
  streams.add(response)
  streamSockets.add(request.socket)
  response.on('close', () => {
    streams.delete(response)
    streamSockets.delete(request.socket)
  })
})
const upgrades = new WebSocketServer({ server, path: '/live' })
upgrades.on('connection', (socket, request) => {
  sockets.set(socket, request.socket)
  socket.on('error', () => {})
  socket.on('close', () => sockets.delete(socket))
})

await postgres(DATABASE_URL).listen('peer', payload => {
  for (let n = 0; n < Number(payload); n++) send()
})
process.stdin.resume().on('close', () => process.exit())
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (address && typeof address === 'object') console.log(`Peer http://127.0.0.1:${address.port}`)
})

/** Returns the header of a text frame (RFC 6455, 5.2). */
function frameHeader(length: number): Buffer {
  if (length < 126) return Buffer.from([0x81, length])
  return Buffer.from([0x81, 126, length >> 8, length & 0xff])
}
