import { type JoinedPeers, noPeers, peerJson } from './joined-peer.ts'

/** Creates the `presence` messages for sockets that were last sent the peers `sent` and must now show `shown`. */
export function createUpdate(checklistId: string, sent: JoinedPeers, shown: JoinedPeers) {
  const head = JSON.stringify({ type: 'presence', checklistId }).slice(0, -1)
  /** JSON of each peer that joined, changed or left, by its connection id */
  const peers = new Map<string, string>()
  for (const [id, [, peer]] of sent === shown ? noPeers : sent) {
    if (!shown.has(id)) peers.set(id, JSON.stringify({ ...peer, state: null }))
  }
  for (const [id, joined] of shown) {
    if (sent.get(id) !== joined) peers.set(id, peerJson(joined))
  }
  /** messages that are sent to several sockets, by `others` */
  const messages = new Map<number, Buffer>()

  return {
    /** Returns whether the update contains a peer other than the connection itself. */
    hasPeersFor: (connectionId: string) => peers.size > (peers.has(connectionId) ? 1 : 0),

    message(connectionId: string, others: number): Buffer {
      if (peers.has(connectionId)) return toBytes(otherPeers(connectionId), others)
      const message = messages.get(others) ?? toBytes([...peers.values()], others)
      messages.set(others, message)
      return message
    }
  }

  function otherPeers(connectionId: string): string[] {
    const json = []
    for (const [id, peer] of peers) if (id !== connectionId) json.push(peer)
    return json
  }

  function toBytes(peers: string[], others: number): Buffer {
    const tail = others > 0 ? `,"others":${others}` : ''
    return Buffer.from(`${head},"peers":[${peers}]${tail}}`)
  }
}
