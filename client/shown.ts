import type { Socket } from './socket.ts'
import type { Clock, PresenceState } from './types.ts'

const intervalMs = 200

/** Shows other users what this user edits in a checklist: at most five states a second, the newest one always. */
export function createShown(
  checklistId: string,
  socket: Pick<Socket, 'send' | 'isFull'>,
  clock: Clock
) {
  let newest: { state: PresenceState | null; shownAt: number } = { state: null, shownAt: 0 }
  let stopTimer: (() => void) | undefined

  return {
    show(next: typeof newest) {
      if (next.shownAt === newest.shownAt) return
      newest = next
      if (!stopTimer) send()
    },

    /** Shows the state on another socket. */
    repeat() {
      if (newest.state) send()
    },

    stop: () => stopTimer?.()
  }

  // The state null would hide the user, who still has the checklist open.
  function send() {
    const sent = socket.isFull() ? undefined : newest
    if (sent) socket.send({ type: 'presence', checklistId, state: sent.state ?? {} })
    stopTimer?.()
    stopTimer = clock.setTimeout(() => {
      stopTimer = undefined
      if (newest.shownAt !== sent?.shownAt) send()
    }, intervalMs)
  }
}
