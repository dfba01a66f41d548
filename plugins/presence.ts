import { randomUUID } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { once } from '../lib/wire.ts'
import type { Peer, PresenceState } from '../schemas/presence.ts'
import {
  clearPresence,
  exchangePresence,
  type NodePresence,
  refreshPresence
} from '../sql/presence.ts'

declare module 'fastify' {
  interface FastifyInstance {
    presence: ReturnType<typeof createPresence>
  }
}

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
  shown: 100,
  shownChars: 64 << 10,
  // Those who are next, sent to other nodes too, so that a place that becomes free is taken at once.
  next: 20,
  // Keystrokes within this become one message: a client is sent at most five a second.
  flushMs: 200,
  // A message that changes nothing but `others` is sent in every fifth flush only.
  flushesPerCount: 5,
  exchangeMs: 1000,
  // Sent to other nodes in one exchange, in characters; the rest waits for the next.
  exchangeChars: 1 << 20,
  refreshMs: 10_000,
  // A loop that has run for longer lets other work run. Short, for sockets write at its end what they were sent.
  sliceMs: 1
}

export default fp(
  async app => {
    const presence = createPresence(app)
    app.decorate('presence', presence)
    app.addHook('onClose', () => presence.close())
  },
  { name: 'presence', dependencies: ['db'] }
)

/** A peer and when it joined, milliseconds since 1970. Replaced, never changed: equal objects are equal peers. */
type Present = readonly [joinedAt: number, peer: Peer]
type Presents = ReadonlyMap<string, Present>

/** A socket, and what it knows: the peers that it was sent (itself aside) and the number of others. */
interface Reader {
  visitor: Visitor
  known: Presents
  others: number
}

/** A checklist that sockets of this node have open. */
interface Room {
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

const nothing: Presents = new Map()

/**
 * Sends the sockets on a checklist who else is on it. All sockets of a list are sent the same peers, those that
 * joined first, so that one message serves all sockets that were sent the same before.
 *
 * Nodes exchange presence through an unlogged table, once a second and only while a checklist is open: one
 * statement for each node, whatever the number of sockets. A NOTIFY for each keystroke leaves writers 68 % of
 * their commits with 1,000 people who type, this 88 % (bench/presence.ts).
 */
function createPresence({ sql, log }: FastifyInstance) {
  const nodeId = randomUUID()
  const rooms = new Map<string, Room>()
  /** checklists whose sockets may have to be sent something */
  const changed = new Set<string>()
  /** checklists whose row in the database is not what this node has */
  const unstored = new Set<string>()
  const slice = createSlice()
  let flushes = 0
  const stops = [
    every(limits.flushMs, flush),
    every(limits.exchangeMs, exchange),
    every(limits.refreshMs, refresh)
  ]

  return {
    /**
     * Shows a socket on its checklist. It is sent its peers with the next flush, and they are sent it. Returns
     * the function that takes it away.
     */
    join(visitor: Visitor): () => void {
      const { checklistId, connectionId } = visitor
      const room = rooms.get(checklistId) ?? emptyRoom()
      rooms.set(checklistId, room)
      const reader = { visitor, known: nothing, others: 0 }
      room.readers.set(connectionId, reader)
      set(visitor, {})
      return () => {
        if (room.readers.get(connectionId) !== reader) return
        set(visitor, null)
        room.readers.delete(connectionId)
        if (room.readers.size > 0) return
        rooms.delete(checklistId)
        unstored.add(checklistId)
      }
    },

    set,

    async close() {
      for (const stop of stops) await stop()
      await clearPresence(sql, nodeId).catch(warn)
    }
  }

  /** Sets where a visitor is; null shows it no more. Does nothing for a visitor that has left. */
  function set({ checklistId, connectionId, userId, name }: Visitor, state: PresenceState | null) {
    const room = rooms.get(checklistId)
    if (!room?.readers.has(connectionId)) return
    const before = room.present.get(connectionId)
    if (isDeepStrictEqual(before?.[1].state ?? null, state)) return
    if (state === null) room.present.delete(connectionId)
    else {
      const peer = { connectionId, userId, name, state }
      room.present.set(connectionId, [before?.[0] ?? Date.now(), peer])
    }
    // A new state of a peer that is only counted is sent to no one.
    const isMove = before !== undefined && state !== null
    if (!isMove || room.shown.has(connectionId) || room.stored.has(connectionId))
      changed.add(checklistId)
  }

  async function flush() {
    const withCount = flushes++ % limits.flushesPerCount === 0
    const turn = [...changed]
    changed.clear()
    for (const checklistId of turn) {
      if (slice.isOver()) await slice.next()
      const room = rooms.get(checklistId)
      if (!room) continue
      if (arrange(room)) unstored.add(checklistId)
      if (!(await send(checklistId, room, withCount))) changed.add(checklistId)
    }
  }

  /** Sends every socket of a room what it does not know. Returns whether all of them know everything now. */
  async function send(checklistId: string, room: Room, withCount: boolean): Promise<boolean> {
    const { shown, count } = room
    const news = new Map<Presents, ReturnType<typeof createNews>>()
    let isDone = true
    for (const [id, reader] of room.readers) {
      if (slice.isOver()) await slice.next()
      const isCounted = room.present.has(id) && !shown.has(id)
      const others = Math.max(0, count - shown.size - (isCounted ? 1 : 0))
      let fresh = news.get(reader.known)
      if (!fresh) {
        fresh = createNews(checklistId, reader.known, shown)
        news.set(reader.known, fresh)
      }
      const isTold = fresh.concerns(id)
      if (!isTold && others === reader.others) {
        reader.known = shown
        continue
      }
      if ((!isTold && !withCount) || reader.visitor.isFull()) {
        isDone = false
        continue
      }
      reader.known = shown
      reader.others = others
      reader.visitor.hear(fresh.message(id, others))
    }
    return isDone
  }

  async function exchange() {
    const lists = [...rooms.keys()]
    const { rows, left } = await takeUnstored()
    if (lists.length + left.length === 0) return
    try {
      const elsewhere = await exchangePresence(sql, nodeId, rows, left, lists)
      const byList = Map.groupBy(elsewhere, ({ checklistId }) => checklistId)
      for (const checklistId of lists) {
        if (slice.isOver()) await slice.next()
        const room = rooms.get(checklistId)
        if (room && takeOver(room, byList.get(checklistId) ?? [])) changed.add(checklistId)
      }
    } catch (error) {
      for (const { checklistId } of rows) unstored.add(checklistId)
      for (const checklistId of left) unstored.add(checklistId)
      throw error
    }
  }

  /** Takes what this node has to store, as much as one statement may carry. */
  async function takeUnstored() {
    const rows: NodePresence[] = []
    const left: string[] = []
    let chars = 0
    for (const checklistId of [...unstored]) {
      if (slice.isOver()) await slice.next()
      if (chars > limits.exchangeChars) break
      unstored.delete(checklistId)
      const { stored, storedCount: count } = rooms.get(checklistId) ?? emptyRoom()
      if (count === 0) left.push(checklistId)
      else {
        const peers = `[${[...stored.values()].map(storedJson)}]`
        rows.push({ checklistId, count, peers })
        chars += peers.length
      }
    }
    return { rows, left }
  }

  /** Keeps the rows of this node from becoming stale, and stores again those that the database has lost. */
  async function refresh() {
    const rows = new Set(await refreshPresence(sql, nodeId))
    for (const [checklistId, { storedCount }] of rooms) {
      if (storedCount > 0 && !rows.delete(checklistId)) unstored.add(checklistId)
    }
    for (const checklistId of rows) unstored.add(checklistId)
  }

  /** Runs a task again and again, never twice at once. Returns the function that stops it and waits for it. */
  function every(ms: number, task: () => Promise<void>): () => Promise<void> {
    let running: Promise<void> | undefined
    const timer = setInterval(() => {
      running ??= task()
        .catch(warn)
        .finally(() => {
          running = undefined
        })
    }, ms)
    return async () => {
      clearInterval(timer)
      await running
    }
  }

  function warn(err: unknown) {
    log.debug({ err }, 'presence not exchanged with other nodes: trying again')
  }
}

function emptyRoom(): Room {
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
function arrange(room: Room): boolean {
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
function takeOver(room: Room, rows: (NodePresence & { nodeId: string })[]): boolean {
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

/** What a socket that knows `known` must be sent to know `shown`. */
function createNews(checklistId: string, known: Presents, shown: Presents) {
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

const peerJson = once(([, peer]: Present) => JSON.stringify(peer))

const storedJson = (present: Present) => `[${present[0]},${peerJson(present)}]`

function without(peers: Map<string, string>, id: string): string[] {
  const rest = []
  for (const [of, json] of peers) if (of !== id) rest.push(json)
  return rest
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

/** Divides long loops, so that the event loop does other work in between. */
function createSlice() {
  let end = 0

  return {
    isOver: () => performance.now() > end,

    async next() {
      await nextTurn()
      end = performance.now() + limits.sliceMs
    }
  }
}
