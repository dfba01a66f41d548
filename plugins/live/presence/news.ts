import { nothing, type Presents, peerJson } from './present.ts'

/** What a socket that knows `known` must be sent to know `shown`. */
export function createNews(checklistId: string, known: Presents, shown: Presents) {
  const head = JSON.stringify({ type: 'presence', checklistId }).slice(0, -1)
  const peers = new Map<string, string>()
  for (const [id, [, peer]] of known === shown ? nothing : known) {
    if (!shown.has(id)) peers.set(id, JSON.stringify({ ...peer, state: null }))
  }
  for (const [id, present] of shown) {
    if (known.get(id) !== present) peers.set(id, peerJson(present))
  }
  const messages = new Map<number, Buffer>()

  return {
    /** Whether it holds a peer other than the socket itself. */
    concerns: (id: string) => peers.size > (peers.has(id) ? 1 : 0),

    /** The message for a socket, which is never sent itself. */
    message(id: string, others: number): Buffer {
      if (peers.has(id)) return bytes(without(peers, id), others)
      const made = messages.get(others) ?? bytes([...peers.values()], others)
      messages.set(others, made)
      return made
    }
  }

  function bytes(peers: string[], others: number): Buffer {
    const tail = others > 0 ? `,"others":${others}` : ''
    return Buffer.from(`${head},"peers":[${peers}]${tail}}`)
  }
}

function without(peers: Map<string, string>, id: string): string[] {
  const rest = []
  for (const [of, json] of peers) if (of !== id) rest.push(json)
  return rest
}
