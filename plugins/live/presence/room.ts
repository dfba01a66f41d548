import { maximum } from '../../../schemas/limits.ts'
import type { NodePresence } from '../../../sql/presence.ts'
import { nothing, type Present, type Presents, peerJson, storedJson } from './present.ts'

/** A socket on a checklist. */
export interface Visitor {
  checklistId: string
  connectionId: string
  userId: string
  name: string
  /** Receives a whole `presence` message. */
  hear(bytes: Buffer): void
  /** Whether the socket has so much unsent that it must be sent nothing now, and only the newest later. */
  isFull(): boolean
}

const limits = {
  // Of a list: those who joined first, as long as their JSON is not longer than this, in characters.
  shown: maximum.shownPeers,
  shownChars: maximum.shownPeersJson,
  // Those who are next, sent to other nodes too, so that a place that becomes free is taken at once.
  next: 20
}

/** A socket, and what it knows: the peers that it was sent (itself aside) and the number of others. */
export interface Reader {
  visitor: Visitor
  known: Presents
  others: number
}

/** A checklist that sockets of this node have open. */
export interface Room {
  readers: Map<string, Reader>
  /** everyone connected here, in the order of joining */
  present: Map<string, Present>
  /** what other nodes have stored, by node */
  elsewhere: Map<string, NodePresence & { presents: Present[] }>
  /** the peers that clients are sent, and how many there are with those that they are not sent */
  shown: Presents
  count: number
  /** what this node stores for others: those connected here, of the shown and the next */
  stored: Presents
  storedCount: number
}

export function emptyRoom(): Room {
  return {
    readers: new Map(),
    present: new Map(),
    elsewhere: new Map(),
    shown: nothing,
    count: 0,
    stored: nothing,
    storedCount: 0
  }
}

/**
 * Updates which peers of a room are shown and stored. The nodes show the same peers once they have exchanged
 * them. Returns whether what is stored changed.
 */
export function arrange(room: Room): boolean {
  const most = limits.shown + limits.next
  const candidates = first(room.present.values(), most)
  room.count = room.present.size
  for (const { count, presents } of room.elsewhere.values()) {
    room.count += count
    candidates.push(...presents)
  }
  candidates.sort(byJoining)
  const shown = new Map<string, Present>()
  const stored = new Map<string, Present>()
  let chars = 0
  for (const [n, present] of candidates.slice(0, most).entries()) {
    const id = present[1].connectionId
    chars += peerJson(present).length
    if (chars > limits.shownChars) break
    if (n < limits.shown) shown.set(id, present)
    if (room.present.has(id)) stored.set(id, present)
  }
  if (!isSame(shown, room.shown)) room.shown = shown
  if (isSame(stored, room.stored) && room.storedCount === room.present.size) return false
  room.stored = stored
  room.storedCount = room.present.size
  return true
}

/** Takes over what the other nodes have stored. Returns whether it changed; without a row, a node has left. */
export function takeOver(room: Room, rows: (NodePresence & { nodeId: string })[]): boolean {
  const before = room.elsewhere
  let isChanged = rows.length !== before.size
  room.elsewhere = new Map()
  for (const { nodeId, ...row } of rows) {
    const old = before.get(nodeId)
    const presents =
      old?.peers === row.peers ? old.presents : readPresents(row.peers, old?.presents)
    if (old?.count !== row.count || old.presents !== presents) isChanged = true
    room.elsewhere.set(nodeId, { ...row, presents })
  }
  return isChanged
}

/** Reads the peers of a row; those that are as before stay the same objects. */
function readPresents(json: string, before: Present[] = []): Present[] {
  const old = new Map(before.map(present => [present[1].connectionId, present]))
  return (JSON.parse(json) as Present[]).map(present => {
    const known = old.get(present[1].connectionId)
    return known && storedJson(known) === storedJson(present) ? known : present
  })
}

/** Those who joined first, first; the same order on every node. */
function byJoining([a, { connectionId: idA }]: Present, [b, { connectionId: idB }]: Present) {
  return a - b || (idA < idB ? -1 : 1)
}

function isSame(a: Presents, b: Presents): boolean {
  if (a.size !== b.size) return false
  for (const [id, present] of a) if (b.get(id) !== present) return false
  return true
}

/** The first `count` values. */
function first<T>(values: Iterable<T>, count: number): T[] {
  const taken: T[] = []
  for (const value of values) {
    if (taken.length === count) break
    taken.push(value)
  }
  return taken
}
