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

    /**
     * Waits for a notification, at most `ms` milliseconds. Returns at once when there was a notification since the last
     * wait. Returns false when the time is over without a notification.
     */
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
