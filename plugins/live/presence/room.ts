import { maximum } from '../../../schemas/limits.ts'
import type { NodePresence } from '../../../sql/presence.ts'
import {
  type JoinedPeer,
  type JoinedPeers,
  joinedPeerJson,
  noPeers,
  peerJson
} from './joined-peer.ts'

/** A socket that has a checklist open. */
export interface PresenceConnection {
  checklistId: string
  connectionId: string
  userId: string
  name: string
  sender: {
    /** Sends the bytes of one `presence` message. */
    send(bytes: Buffer): void
    /** Whether the socket lags. It is sent nothing until it has drained, and then only the newest state. */
    readonly isFull: boolean
  }
}

const limits = {
  // The peers that joined first are shown.
  shown: maximum.shownPeers,
  shownChars: maximum.shownPeersJson,
  // Further peers stored for other nodes, so that all nodes show the next one as soon as a shown peer leaves.
  next: 20
}

/** A connection, and what was last sent to it: the shown peers, except itself, and the number of other peers. */
export interface RoomMember {
  connection: PresenceConnection
  sentPeers: JoinedPeers
  sentOthers: number
}

/** A checklist that is open on sockets of this node. */
export interface Room {
  members: Map<string, RoomMember>
  /** all peers of this node, in the order of joining */
  localPeers: Map<string, JoinedPeer>
  /** the rows that other nodes stored, by node */
  otherNodes: Map<string, NodePresence & { joinedPeers: JoinedPeer[] }>
  /** the peers that are sent to clients, and the number of all peers, shown or not */
  shownPeers: JoinedPeers
  count: number
  /** the peers of this node that it stores for other nodes (shown or next ones), and the number of all its peers */
  storedPeers: JoinedPeers
  storedCount: number
}

export function createRoom(): Room {
  return {
    members: new Map(),
    localPeers: new Map(),
    otherNodes: new Map(),
    shownPeers: noPeers,
    count: 0,
    storedPeers: noPeers,
    storedCount: 0
  }
}

/** Returns whether the stored peers or their number changed. All nodes show the same peers after an exchange. */
export function updateShownPeers(room: Room): boolean {
  const max = limits.shown + limits.next
  const candidates: JoinedPeer[] = []
  for (const joined of room.localPeers.values()) {
    if (candidates.length === max) break
    candidates.push(joined)
  }
  room.count = room.localPeers.size
  for (const { count, joinedPeers } of room.otherNodes.values()) {
    room.count += count
    candidates.push(...joinedPeers)
  }
  candidates.sort(byJoining)
  const shown = new Map<string, JoinedPeer>()
  const stored = new Map<string, JoinedPeer>()
  let chars = 0
  for (const [n, joined] of candidates.slice(0, max).entries()) {
    const id = joined[1].connectionId
    chars += peerJson(joined).length
    if (chars > limits.shownChars) break
    if (n < limits.shown) shown.set(id, joined)
    if (room.localPeers.has(id)) stored.set(id, joined)
  }
  if (!isSame(shown, room.shownPeers)) room.shownPeers = shown
  if (isSame(stored, room.storedPeers) && room.storedCount === room.localPeers.size) return false
  room.storedPeers = stored
  room.storedCount = room.localPeers.size
  return true
}

/** Replaces the peers of the other nodes by those in `rows`. Returns whether anything changed. */
export function updateOtherNodes(room: Room, rows: (NodePresence & { nodeId: string })[]): boolean {
  const before = room.otherNodes
  let isChanged = rows.length !== before.size
  room.otherNodes = new Map()
  for (const { nodeId, ...row } of rows) {
    const old = before.get(nodeId)
    const joinedPeers =
      old?.peers === row.peers ? old.joinedPeers : parsePeers(row.peers, old?.joinedPeers)
    if (old?.count !== row.count || old.joinedPeers !== joinedPeers) isChanged = true
    room.otherNodes.set(nodeId, { ...row, joinedPeers })
  }
  return isChanged
}

/** Parses the peers of a row. Returns the objects of `before` for peers that did not change. */
function parsePeers(json: string, before: JoinedPeer[] = []): JoinedPeer[] {
  const old = new Map(before.map(joined => [joined[1].connectionId, joined]))
  return (JSON.parse(json) as JoinedPeer[]).map(joined => {
    const known = old.get(joined[1].connectionId)
    return known && joinedPeerJson(known) === joinedPeerJson(joined) ? known : joined
  })
}

// The connection id decides between equal times, so that the order is the same on every node.
function byJoining([a, { connectionId: idA }]: JoinedPeer, [b, { connectionId: idB }]: JoinedPeer) {
  return a - b || (idA < idB ? -1 : 1)
}

function isSame(a: JoinedPeers, b: JoinedPeers): boolean {
  if (a.size !== b.size) return false
  for (const [id, joined] of a) if (b.get(id) !== joined) return false
  return true
}
