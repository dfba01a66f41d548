export type Signal = ReturnType<typeof createSignal>

/** Returns a signal for one waiter. Several notifications between two waits count as one. */
export function createSignal() {
  let isNotified = false
  let wake = () => {}

  return {
    notify() {
      isNotified = true
      wake()
    },

    /** Returns true after a notification since the last wait, and false after `ms` milliseconds without one. */
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
