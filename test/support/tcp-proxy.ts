import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/**
 * A way to the database that can be held silent, or cut, or lose whoever speaks without a word to them, as
 * when the database moves to another machine.
 */
export async function tcpProxy(t: Test, url: string) {
  const target = new URL(url)
  const { hostname, port } = target
  const ends = new Set<Socket>()
  let isHeld = false
  const exchange = createServer(caller => {
    const called = connect(Number(port), hostname)
    for (const [one, other] of [
      [caller, called],
      [called, caller]
    ] as const) {
      ends.add(one)
      one.on('data', data => other.write(data))
      one.on('error', () => {})
      one.on('close', () => {
        ends.delete(one)
        other.destroy()
      })
      if (isHeld) one.pause()
    }
  })
  await open(0)
  const own = (exchange.address() as { port: number }).port
  target.port = String(own)
  target.hostname = '127.0.0.1'
  t.teardown(hangUp)

  function hold() {
    isHeld = true
    for (const end of ends) end.pause()
  }

  function goOn() {
    isHeld = false
    for (const end of ends) end.resume()
  }

  function lose() {
    for (const end of ends) end.pause()
  }

  function hangUp() {
    exchange.close()
    for (const end of ends) end.destroy()
  }

  async function open(port: number) {
    exchange.listen(port, '127.0.0.1')
    await once(exchange, 'listening')
  }

  return { url: target.href, hold, goOn, lose, hangUp, answer: () => open(own) }
}
