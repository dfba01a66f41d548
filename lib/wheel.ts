export type Wheel = ReturnType<typeof createWheel>

/**
 * One timer for everything that is due at some second: heartbeats, expiries, pings.
 * A thousand connections cost one interval, not a thousand (Varghese & Lauck, hashed timing wheels).
 */
export function createWheel(tickMs = 1000) {
  const slots = new Map<number, Set<() => void>>()
  let last = slotIn(0)
  const timer = setInterval(turn, tickMs)
  timer.unref()

  return {
    /** Runs `task` once after `ms`, at most one tick later; answers the way to call it off. */
    after(ms: number, task: () => void): () => void {
      const slot = Math.max(slotIn(ms), last) + 1
      const tasks = slots.get(slot) ?? new Set()
      slots.set(slot, tasks.add(task))
      return () => tasks.delete(task)
    },

    stop() {
      clearInterval(timer)
      slots.clear()
    }
  }

  // The monotonic clock: setting the machine's clock moves nothing.
  function slotIn(ms: number): number {
    return Math.floor((performance.now() + ms) / tickMs)
  }

  function turn() {
    for (const now = slotIn(0); last < now; ) {
      const due = slots.get(++last)
      slots.delete(last)
      for (const task of due ?? []) task()
    }
  }
}
