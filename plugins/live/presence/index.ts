import { isDeepStrictEqual } from 'node:util'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { every } from '../../../lib/every.ts'
import { createTimeSlice } from '../../../lib/time-slice.ts'
import type { PresenceState } from '../../../schemas/presence.ts'
import { noPeers } from './joined-peer.ts'
import { createNodeExchange } from './node-exchange.ts'
import { createRoom, type PresenceConnection, type Room, updateShownPeers } from './room.ts'
import { sendUpdates } from './send-updates.ts'

declare module 'fastify' {
  interface FastifyInstance {
    presence: ReturnType<typeof createPresence>
  }
}

const limits = {
  // Changes within this time share one message, so that a client receives at most five messages per second.
  flushMs: 200,
  // A message that changes only `others` is sent in every fifth flush.
  flushesPerCount: 5,
  exchangeMs: 1000,
  refreshMs: 10_000,
  // Loops yield to other work after this time. It is short, because sockets send nothing until the loop has yielded.
  sliceMs: 1
}

async function plugin(app: FastifyInstance) {
  const presence = createPresence(app)
  app.decorate('presence', presence)
  app.addHook('onClose', () => presence.close())
}

// All sockets of a checklist are sent the same peers, those that joined first. So one message serves all sockets that
// were sent the same peers before.
function createPresence({ sql, log }: Pick<FastifyInstance, 'sql' | 'log'>) {
  const rooms = new Map<string, Room>()
  /** ids of checklists whose sockets may need an update */
  const changed = new Set<string>()
  const slice = createTimeSlice(limits.sliceMs)
  const nodes = createNodeExchange({ sql, rooms, slice })
  let flushes = 0
  const stops = [
    every(limits.flushMs, () => flush().catch(warn)),
    every(limits.exchangeMs, () => nodes.exchange(id => changed.add(id)).catch(warn)),
    every(limits.refreshMs, () => nodes.refresh().catch(warn))
  ]

  return {
    /** Adds a connection, which receives its peers in the next flush. Returns a function that removes it. */
    join(connection: PresenceConnection): () => void {
      const { checklistId, connectionId } = connection
      const room = rooms.get(checklistId) ?? createRoom()
      rooms.set(checklistId, room)
      const member = { connection, sentPeers: noPeers, sentOthers: 0 }
      room.members.set(connectionId, member)
      set(connection, {})
      return () => {
        if (room.members.get(connectionId) !== member) return
        set(connection, null)
        room.members.delete(connectionId)
        if (room.members.size > 0) return
        rooms.delete(checklistId)
        nodes.markUnstored(checklistId)
      }
    },

    set,

    async close() {
      for (const stop of stops) await stop()
      await nodes.clear().catch(warn)
    }
  }

  /** The state null hides the connection. Does nothing for a connection that was removed. */
  function set(
    { checklistId, connectionId, userId, name }: PresenceConnection,
    state: PresenceState | null
  ) {
    const room = rooms.get(checklistId)
    if (!room?.members.has(connectionId)) return
    const before = room.localPeers.get(connectionId)
    if (isDeepStrictEqual(before?.[1].state ?? null, state)) return
    if (state === null) room.localPeers.delete(connectionId)
    else {
      const peer = { connectionId, userId, name, state }
      room.localPeers.set(connectionId, [before?.[0] ?? Date.now(), peer])
    }
    // Clients do not receive the state of a peer that is only counted, so its change needs no update.
    const isNewState = before !== undefined && state !== null
    const isSent = room.shownPeers.has(connectionId) || room.storedPeers.has(connectionId)
    if (!isNewState || isSent) changed.add(checklistId)
  }

  async function flush() {
    const withCount = flushes++ % limits.flushesPerCount === 0
    const batch = [...changed]
    changed.clear()
    for (const checklistId of batch) {
      if (slice.isOver()) await slice.next()
      const room = rooms.get(checklistId)
      if (!room) continue
      if (updateShownPeers(room)) nodes.markUnstored(checklistId)
      const isDone = await sendUpdates(checklistId, room, { withCount, slice })
      if (!isDone) changed.add(checklistId)
    }
  }

  function warn(err: unknown) {
    log.debug({ err }, 'presence exchange failed: retrying')
  }
}

export default fp(plugin, { name: 'presence', dependencies: ['pools'] })
