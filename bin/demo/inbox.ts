/** What arrived, and who waits for more. */
export function createInbox<T>() {
  const all: T[] = []
  const waiting = new Set<{ fits: (message: T) => boolean; resolve: (message: T) => void }>()

  return {
    /** Everything so far, in the order of arrival. */
    all,

    take(message: T) {
      all.push(message)
      for (const one of waiting) {
        if (!one.fits(message)) continue
        waiting.delete(one)
        one.resolve(message)
      }
    },

    /** The first message that fits among those that arrive from now on. */
    next(fits: (message: T) => boolean): Promise<T> {
      const { promise, resolve } = Promise.withResolvers<T>()
      waiting.add({ fits, resolve })
      return promise
    }
  }
}
