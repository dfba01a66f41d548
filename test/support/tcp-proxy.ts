import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/**
 * Starts a TCP proxy in front of a database or of a service, to inject network faults:
 * - `hold` stops forwarding on all connections, also new ones, until `resume`;
 * - `stall` stops forwarding on the open connections for ever, as when the database moves to another machine;
 * - `cut` closes the open connections;
 * - `close` closes all connections and refuses new ones, until `reopen`.
 *
 * Returns these functions, and the URL of the target through the proxy.
 */
export async function tcpProxy(t: Pick<Test, 'teardown'>, targetUrl: string) {
  const target = new URL(targetUrl)
  const { hostname, port } = target
  const sockets = new Set<Socket>()
  let isHeld = false
  const server = createServer(client => {
    const upstream = connect(Number(port), hostname)
    for (const [from, to] of [
      [client, upstream],
      [upstream, client]
    ] as const) {
      sockets.add(from)
      from.on('data', data => to.write(data))
      from.on('error', () => {})
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
      if (isHeld) from.pause()
    }
  })
  await open(0)
  const ownPort = (server.address() as { port: number }).port
  target.port = String(ownPort)
  target.hostname = '127.0.0.1'
  t.teardown(close)

  function hold() {
    isHeld = true
    for (const socket of sockets) socket.pause()
  }

  function resume() {
    isHeld = false
    for (const socket of sockets) socket.resume()
  }

  function stall() {
    for (const socket of sockets) socket.pause()
  }

  function cut() {
    for (const socket of sockets) socket.destroy()
  }

  function close() {
    server.close()
    cut()
  }

  async function reopen() {
    if (!server.listening) await open(ownPort)
  }

  async function open(port: number) {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }

  // A trailing slash is part of the path of an HTTP address.
  const url = target.href.replace(/\/$/, '')
  return { url, hold, resume, stall, cut, close, reopen }
}
