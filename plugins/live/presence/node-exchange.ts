import { randomUUID } from 'node:crypto'
import type { TimeSlice } from '../../../lib/time-slice.ts'
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
  // The last row of an exchange may exceed this limit. Further rows wait for the next exchange.
  exchangeChars: 1 << 20
}

/**
 * Exchanges the peers of this node with other nodes, through the unlogged table `presence`. An exchange is one
 * statement per node, whatever the number of sockets. While 1,000 users type, writers reach 88 % of their usual commits
 * per second. With one NOTIFY for each keystroke they would reach 68 % (bench/presence.ts).
 */
export function createNodeExchange({
  sql,
  rooms,
  slice
}: {
  sql: Sql
  rooms: Map<string, Room>
  slice: TimeSlice
}) {
  const nodeId = randomUUID()
  /** ids of checklists whose row in the database is out of date */
  const unstored = new Set<string>()

  return {
    markUnstored: (checklistId: string) => unstored.add(checklistId),

    /** Calls `onChange` for each room whose peers on other nodes changed. */
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

    /**
     * Marks the rows of this node as fresh, because other nodes ignore stale rows. Marks rooms whose row is missing,
     * and rows whose room is gone, for the next exchange.
     */
    async refresh() {
      const rows = new Set(await refreshPresence(sql, nodeId))
      for (const [checklistId, { storedCount }] of rooms) {
        if (storedCount > 0 && !rows.delete(checklistId)) unstored.add(checklistId)
      }
      for (const checklistId of rows) unstored.add(checklistId)
    },

    clear: () => deletePresence(sql, nodeId)
  }

  // Returns the rows to store, and the ids of checklists without a peer, whose rows must be deleted.
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
