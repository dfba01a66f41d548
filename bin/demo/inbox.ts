/** Creates a list of received messages. Callers can wait for a message. */
export function createInbox<T>() {
  const all: T[] = []
  const waiting = new Set<{ matches: (message: T) => boolean; resolve: (message: T) => void }>()

  return {
    /** all messages so far, in the order of arrival */
    all,

    add(message: T) {
      all.push(message)
      for (const waiter of waiting) {
        if (!waiter.matches(message)) continue
        waiting.delete(waiter)
        waiter.resolve(message)
      }
    },

    /** Resolves with the next message that matches. Ignores messages that were received before the call. */
    next(matches: (message: T) => boolean): Promise<T> {
      const { promise, resolve } = Promise.withResolvers<T>()
      waiting.add({ matches, resolve })
      return promise
    }
  }
}
