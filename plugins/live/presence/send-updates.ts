import type { TimeSlice } from '../../../lib/time-slice.ts'
import type { JoinedPeers } from './joined-peer.ts'
import type { Room } from './room.ts'
import { createUpdate } from './update.ts'

/** Sends a change of only the number of other peers if `withCount`. Returns whether all sockets are up to date. */
export async function sendUpdates(
  checklistId: string,
  room: Room,
  { withCount, slice }: { withCount: boolean; slice: TimeSlice }
): Promise<boolean> {
  const { shownPeers, count } = room
  const updates = new Map<JoinedPeers, ReturnType<typeof createUpdate>>()
  let isDone = true
  for (const [id, member] of room.members) {
    if (slice.isOver()) await slice.next()
    const isItselfCounted = room.localPeers.has(id) && !shownPeers.has(id)
    const others = Math.max(0, count - shownPeers.size - (isItselfCounted ? 1 : 0))
    let update = updates.get(member.sentPeers)
    if (!update) {
      update = createUpdate(checklistId, member.sentPeers, shownPeers)
      updates.set(member.sentPeers, update)
    }
    const hasPeers = update.hasPeersFor(id)
    if (!hasPeers && others === member.sentOthers) {
      member.sentPeers = shownPeers
      continue
    }
    if ((!hasPeers && !withCount) || member.connection.sender.isFull) {
      isDone = false
      continue
    }
    member.sentPeers = shownPeers
    member.sentOthers = others
    member.connection.sender.send(update.message(id, others))
  }
  return isDone
}
