export type Signal = ReturnType<typeof createSignal>

/** A doorbell: any number of rings while nobody looks are one. */
export function createSignal() {
  let isRung = false
  let wake = () => {}

  return {
    ring() {
      isRung = true
      wake()
    },

    /** Waits for a ring, at most `ms`; answers whether there was one since the last look. */
    async rung(ms: number): Promise<boolean> {
      if (!isRung) {
        const { promise, resolve } = Promise.withResolvers<void>()
        const timer = setTimeout(resolve, ms)
        wake = resolve
        await promise
        clearTimeout(timer)
      }
      const was = isRung
      isRung = false
      return was
    }
  }
}
