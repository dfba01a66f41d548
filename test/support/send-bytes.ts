import { connect } from 'node:net'
import type { Test } from 'tap'

/** Sends bytes over a new connection and returns everything received until the service closes it. */
export function sendBytes(t: Test, url: string, ...parts: string[]): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname).on('error', () => {})
  t.teardown(() => socket.destroy())
  const chunks: Buffer[] = []
  socket.on('data', chunk => chunks.push(chunk))
  for (const part of parts) socket.write(part, 'latin1')
  return new Promise(resolve =>
    socket.once('close', () => resolve(Buffer.concat(chunks).toString()))
  )
}
