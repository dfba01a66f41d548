import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { addChecklist, connectLive, type Headers, openMany, openStream } from './client.ts'
import { sum } from './statistics.ts'

export interface Load {
  url: string
  headers: Headers
  seconds: number
}

export function newItem() {
  return { itemId: randomUUID(), text: 'Order 12 white chairs', done: false }
}

/** Returns an operation that changes `done` of the item, and changes it in `item`, too. */
export function toggle(item: { itemId: string; done: boolean }) {
  const set = { done: { from: item.done, to: !item.done } }
  item.done = !item.done
  return { kind: 'item.set', itemId: item.itemId, set }
}

/**
 * Returns how many operations were acknowledged on `sockets` sockets. Each socket changes an item of a list of its own,
 * and waits for the acknowledgement before the next change.
 */
export async function countOperations({ url, headers, seconds }: Load, sockets: number) {
  const open = async () => {
    const item = newItem()
    const { id: checklistId } = await addChecklist(url, headers, [item])
    const socket = connectLive(url, headers)
    await once(socket, 'message')
    return { item, checklistId, socket }
  }
  const clients = await openMany(sockets, open)
  const end = performance.now() + seconds * 1000
  const counts = clients.map(async ({ item, checklistId, socket }) => {
    let count = 0
    for (; performance.now() < end; count++) {
      const ops = [{ opId: randomUUID(), ...toggle(item) }]
      socket.send(JSON.stringify({ type: 'push', checklistId, ops }))
      const [message] = await once(socket, 'message')
      const { results } = JSON.parse(message)
      if (results?.[0].outcome !== 'applied') throw new Error(`unexpected message: ${message}`)
    }
    socket.terminate()
    return count
  })
  return sum(await Promise.all(counts))
}

/** Opens a stream and waits until it is live: before `ready`, it may still begin after the next changes. */
export async function openReadyStream(
  url: string,
  headers: Headers,
  onBlock: (block: string) => void = () => {}
) {
  const ready = Promise.withResolvers<void>()
  const stream = openStream(url, headers, block => {
    if (block.includes('event: ready')) ready.resolve()
    onBlock(block)
  })
  await ready.promise
  return stream
}
