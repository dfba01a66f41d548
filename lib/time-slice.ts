import { setImmediate as yieldToEventLoop } from 'node:timers/promises'

export type TimeSlice = ReturnType<typeof createTimeSlice>

/** A loop that awaits `next()` whenever `isOver()` lets other work run every `ms` milliseconds. */
export function createTimeSlice(ms: number) {
  let end = 0

  return {
    isOver: () => performance.now() > end,

    async next() {
      await yieldToEventLoop()
      end = performance.now() + ms
    }
  }
}
