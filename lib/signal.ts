export type Signal = ReturnType<typeof createSignal>

/** Wakes one waiter. Any number of notifications between two waits count as one. */
export function createSignal() {
  let isNotified = false
  let wake = () => {}

  return {
    notify() {
      isNotified = true
      wake()
    },

    /** Waits for a notification, at most `ms` milliseconds. Returns whether there was one since the last wait. */
    async wait(ms: number): Promise<boolean> {
      if (!isNotified) {
        const { promise, resolve } = Promise.withResolvers<void>()
        const timer = setTimeout(resolve, ms)
        wake = resolve
        await promise
        clearTimeout(timer)
      }
      const was = isNotified
      isNotified = false
      return was
    }
  }
}
