import { setImmediate as yieldToEventLoop } from 'node:timers/promises'

/**
 * Returns a timer for a long loop. The loop awaits `next()` whenever `isOver()`, so that other work can run every `ms`
 * milliseconds.
 */
export function createTimeSlice(ms: number) {
  let end = 0

  return {
    isOver: () => performance.now() > end,

    /** Yields to other work on the event loop, then starts the next slice. */
    async next() {
      await yieldToEventLoop()
      end = performance.now() + ms
    }
  }
}
