import { randomUUID } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { every } from '../../../lib/every.ts'
import type { PresenceState } from '../../../schemas/presence.ts'
import {
  deletePresence,
  exchangePresence,
  type NodePresence,
  refreshPresence
} from '../../../sql/presence.ts'
import { createNews } from './news.ts'
import { nothing, type Presents, storedJson } from './present.ts'
import { arrange, emptyRoom, type Room, takeOver, type Visitor } from './room.ts'

declare module 'fastify' {
  interface FastifyInstance {
    presence: ReturnType<typeof createPresence>
  }
}

const limits = {
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
  { name: 'presence', dependencies: ['pools'] }
)

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
    every(limits.flushMs, () => flush().catch(warn)),
    every(limits.exchangeMs, () => exchange().catch(warn)),
    every(limits.refreshMs, () => refresh().catch(warn))
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
      await deletePresence(sql, nodeId).catch(warn)
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

  function warn(err: unknown) {
    log.debug({ err }, 'presence not exchanged with other nodes: trying again')
  }
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
