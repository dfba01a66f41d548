import { setImmediate as yieldToEventLoop } from 'node:timers/promises'

/** Returns a timer that divides a long loop, so that the event loop runs other work every `ms` milliseconds. */
export function createTimeSlice(ms: number) {
  let end = 0

  return {
    isOver: () => performance.now() > end,

    /** Lets other work run, then starts the next slice. */
    async next() {
      await yieldToEventLoop()
      end = performance.now() + ms
    }
  }
}
