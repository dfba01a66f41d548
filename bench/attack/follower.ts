import { type Headers, openStream } from '../support/client.ts'

const reconnectMs = 250

/** Creates a client of `/events` that reconnects with its cursor and measures the time from the commit of an event. */
export function createFollower(url: string, headers: Headers, checklistId: string) {
  const deliveries = new Map<number, PromiseWithResolvers<number>>()
  let cursor = ''
  let isClosed = false
  let socket = connect()

  return {
    /** Resolves when a revision has arrived, with the milliseconds since its commit (by the clock of the database). */
    delivered(rev: number): Promise<number> {
      return deliveryOf(rev).promise
    },

    /** Deletes all measured deliveries. */
    reset() {
      deliveries.clear()
    },

    close() {
      isClosed = true
      socket.destroy()
    }
  }

  function connect() {
    const resume: Headers = cursor === '' ? {} : { 'last-event-id': cursor }
    const opened = openStream(url, { ...headers, ...resume }, receive)
    opened.on('close', () => {
      if (isClosed) return
      setTimeout(() => {
        if (!isClosed) socket = connect()
      }, reconnectMs)
    })
    return opened
  }

  function receive(block: string) {
    cursor = /^id: (\S+)$/m.exec(block)?.[1] ?? cursor
    if (!block.includes(`"checklistId":"${checklistId}"`)) return
    const rev = Number(/"rev":(\d+)/.exec(block)?.[1])
    const at = Date.parse(/"at":"([^"]+)"/.exec(block)?.[1] ?? '')
    deliveryOf(rev).resolve(performance.timeOrigin + performance.now() - at)
  }

  function deliveryOf(rev: number) {
    const delivery = deliveries.get(rev) ?? Promise.withResolvers<number>()
    deliveries.set(rev, delivery)
    return delivery
  }
}
