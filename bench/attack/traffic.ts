import { subscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'

/** Counts the bytes that all TCP connections of this process send. */
export function countTraffic() {
  const open = new Set<Socket>()
  let closedBytes = 0
  subscribe('net.client.socket', message => {
    const { socket } = message as { socket: Socket }
    open.add(socket)
    socket.once('close', () => {
      open.delete(socket)
      closedBytes += socket.bytesWritten
    })
  })
  return {
    get bytesSent() {
      return [...open].reduce((sum, { bytesWritten = 0 }) => sum + bytesWritten, closedBytes)
    }
  }
}
