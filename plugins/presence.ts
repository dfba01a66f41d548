import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Peer, PresenceState } from '../schemas/presence.ts'
import { clearPresence, exchangePresence, type Present, refreshPresence } from '../sql/presence.ts'

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
  /** Hears who came, went or changed; `bytes` is a whole message. */
  hear(bytes: Buffer): void
  /** Whether it has so much to read that it is told later, and then only the newest. */
  isFull(): boolean
}

const limits = {
  // Keystrokes within this become one message, so nobody is told more than five times a second.
  flushMs: 200,
  // Other nodes hear a little later.
  exchangeMs: 1000,
  refreshMs: 10_000
}

export default fp(
  async app => {
    const presence = createPresence(app)
    app.decorate('presence', presence)
    app.addHook('onClose', () => presence.close())
  },
  { name: 'presence', dependencies: ['db'] }
)

/** The people on one checklist: those connected here, and those that other nodes told of. */
interface Room {
  visitors: Map<string, Visitor>
  peers: Map<string, Peer>
  elsewhere: Map<string, Peer>
  /** what the visitors have not been told yet; a peer without a state has left */
  changed: Map<string, Peer>
  /** what those who are slow have not been told besides, by their connection */
  late: Map<string, Map<string, Peer>>
}

/**
 * Who is on which checklist, in memory. Nodes tell each other through an unlogged table, once a second and
 * only while somebody has a checklist open: one statement a node, whatever the number of people. A NOTIFY a
 * keystroke leaves writers 68 % of their commits with 1,000 people typing, this 88 % (bench/presence.ts).
 */
function createPresence({ sql, log }: FastifyInstance) {
  const nodeId = randomUUID()
  const rooms = new Map<string, Room>()
  /** what other nodes have not been told yet, by checklist and connection */
  const unsaid = new Map<string, Present>()
  let exchanging: Promise<void> | undefined
  const timers = [
    setInterval(flush, limits.flushMs),
    setInterval(() => {
      exchanging ??= exchange().finally(() => {
        exchanging = undefined
      })
    }, limits.exchangeMs),
    setInterval(() => {
      if (rooms.size > 0) refreshPresence(sql, nodeId).catch(warn)
    }, limits.refreshMs)
  ]

  return {
    /** Brings a socket in: it hears who is there, the others that it came. Answers the way out. */
    join(visitor: Visitor): () => void {
      const { checklistId, connectionId } = visitor
      const room = rooms.get(checklistId) ?? emptyRoom()
      rooms.set(checklistId, room)
      const others = [...room.peers.values(), ...room.elsewhere.values()]
      room.visitors.set(connectionId, visitor)
      set(visitor, {})
      if (others.length > 0) visitor.hear(message(checklistId, others))
      return () => {
        room.visitors.delete(connectionId)
        room.late.delete(connectionId)
        set(visitor, null)
        if (room.visitors.size === 0) rooms.delete(checklistId)
      }
    },

    set,

    async close() {
      for (const timer of timers) clearInterval(timer)
      await exchanging
      await clearPresence(sql, nodeId).catch(warn)
    }
  }

  /** Where a visitor is now; null shows them no more. Only the newest state of a moment is told. */
  function set(visitor: Visitor, state: PresenceState | null) {
    const { checklistId, connectionId, userId, name } = visitor
    const room = rooms.get(checklistId)
    if (!room) return
    const peer = { connectionId, userId, name, state }
    if (state === null) room.peers.delete(connectionId)
    else room.peers.set(connectionId, peer)
    room.changed.set(connectionId, peer)
    unsaid.set(`${checklistId} ${connectionId}`, { ...peer, checklistId })
  }

  function flush() {
    for (const [checklistId, room] of rooms) {
      const { changed, late, visitors } = room
      if (changed.size === 0 && late.size === 0) continue
      room.changed = new Map()
      // Who changed nothing and missed nothing gets the same bytes as everybody else.
      const bytes = message(checklistId, [...changed.values()])
      for (const [id, { hear, isFull }] of visitors) {
        const missed = late.get(id)
        const news = missed || changed.has(id) ? newsFor(id, missed, changed) : changed
        late.delete(id)
        if (news.size === 0) continue
        if (isFull()) late.set(id, news)
        else hear(news === changed ? bytes : message(checklistId, [...news.values()]))
      }
    }
  }

  async function exchange() {
    const told = [...unsaid.values()]
    unsaid.clear()
    if (rooms.size === 0 && told.length === 0) return
    try {
      const present = await exchangePresence(sql, nodeId, told, [...rooms.keys()])
      for (const [checklistId, room] of rooms) {
        takeOver(
          room,
          present.filter(peer => peer.checklistId === checklistId)
        )
      }
    } catch (error) {
      warn(error)
      for (const peer of told) {
        const key = `${peer.checklistId} ${peer.connectionId}`
        if (!unsaid.has(key)) unsaid.set(key, peer)
      }
    }
  }

  function warn(err: unknown) {
    log.debug({ err }, 'presence is not told to other nodes at the moment')
  }
}

function emptyRoom(): Room {
  return {
    visitors: new Map(),
    peers: new Map(),
    elsewhere: new Map(),
    changed: new Map(),
    late: new Map()
  }
}

/** What one visitor has not been told: the newest of everybody but themselves. */
function newsFor(id: string, missed: Map<string, Peer> | undefined, changed: Map<string, Peer>) {
  const news = new Map([...(missed ?? []), ...changed])
  news.delete(id)
  return news
}

/** What other nodes say now, against what they said before: who is missing has left. */
function takeOver(room: Room, present: Present[]) {
  const before = room.elsewhere
  room.elsewhere = new Map(present.map(({ checklistId, ...peer }) => [peer.connectionId, peer]))
  for (const [id, peer] of before) {
    if (!room.elsewhere.has(id)) room.changed.set(id, { ...peer, state: null })
  }
  for (const [id, peer] of room.elsewhere) {
    if (!isDeepStrictEqual(before.get(id), peer)) room.changed.set(id, peer)
  }
}

function message(checklistId: string, peers: Peer[]): Buffer {
  return Buffer.from(JSON.stringify({ type: 'presence', checklistId, peers }))
}
