import { randomUUID } from 'node:crypto'
import type { createTimeSlice } from '../../../lib/time-slice.ts'
import type { Sql } from '../../../sql/executor.ts'
import {
  deletePresence,
  exchangePresence,
  type NodePresence,
  refreshPresence
} from '../../../sql/presence.ts'
import { joinedPeerJson } from './joined-peer.ts'
import { createRoom, type Room, updateOtherNodes } from './room.ts'

const limits = {
  // Characters of JSON that one exchange stores; the rest waits for the next.
  exchangeChars: 1 << 20
}

/**
 * Exchanges the rooms of this node with other nodes through the unlogged table `presence`: one statement for each
 * node, whatever the number of sockets. A NOTIFY for each keystroke leaves writers 68 % of their commits with 1,000
 * users who type, this 88 % (bench/presence.ts).
 */
export function createNodeExchange({
  sql,
  rooms,
  slice
}: {
  sql: Sql
  rooms: Map<string, Room>
  slice: ReturnType<typeof createTimeSlice>
}) {
  const nodeId = randomUUID()
  /** checklists whose row in the database is out of date */
  const unstored = new Set<string>()

  return {
    /** Stores a room with the next exchange. */
    markUnstored: (checklistId: string) => unstored.add(checklistId),

    /**
     * Stores the rooms that changed here, and updates all rooms with what the other nodes stored. Calls `onChange` for
     * each room whose peers on other nodes changed.
     */
    async exchange(onChange: (checklistId: string) => void) {
      const lists = [...rooms.keys()]
      const { rows, closed } = await takeUnstored()
      if (lists.length + closed.length === 0) return
      try {
        const otherRows = await exchangePresence(sql, nodeId, rows, closed, lists)
        const byList = Map.groupBy(otherRows, ({ checklistId }) => checklistId)
        for (const checklistId of lists) {
          if (slice.isOver()) await slice.next()
          const room = rooms.get(checklistId)
          if (room && updateOtherNodes(room, byList.get(checklistId) ?? [])) onChange(checklistId)
        }
      } catch (error) {
        for (const { checklistId } of rows) unstored.add(checklistId)
        for (const checklistId of closed) unstored.add(checklistId)
        throw error
      }
    },

    /** Prevents the rows of this node from becoming stale, and marks rooms whose row is missing or left over. */
    async refresh() {
      const rows = new Set(await refreshPresence(sql, nodeId))
      for (const [checklistId, { storedCount }] of rooms) {
        if (storedCount > 0 && !rows.delete(checklistId)) unstored.add(checklistId)
      }
      for (const checklistId of rows) unstored.add(checklistId)
    },

    /** Deletes the rows of this node. */
    clear: () => deletePresence(sql, nodeId)
  }

  /**
   * Returns the rows that this node must store, as many as one exchange may have, and the checklists without a peer.
   */
  async function takeUnstored() {
    const rows: NodePresence[] = []
    const closed: string[] = []
    let chars = 0
    for (const checklistId of [...unstored]) {
      if (slice.isOver()) await slice.next()
      if (chars > limits.exchangeChars) break
      unstored.delete(checklistId)
      const { storedPeers, storedCount: count } = rooms.get(checklistId) ?? createRoom()
      if (count === 0) closed.push(checklistId)
      else {
        const peers = `[${[...storedPeers.values()].map(joinedPeerJson)}]`
        rows.push({ checklistId, count, peers })
        chars += peers.length
      }
    }
    return { rows, closed }
  }
}
