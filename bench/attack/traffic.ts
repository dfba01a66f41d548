import { subscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'

/** Counts the bytes that every TCP connection of this process sends, whichever library opened it. */
export function createTraffic() {
  const open = new Set<Socket>()
  let ended = 0
  subscribe('net.client.socket', message => {
    const { socket } = message as { socket: Socket }
    open.add(socket)
    socket.once('close', () => {
      open.delete(socket)
      ended += socket.bytesWritten
    })
  })
  return {
    get bytesSent() {
      return [...open].reduce((sum, { bytesWritten = 0 }) => sum + bytesWritten, ended)
    }
  }
}
