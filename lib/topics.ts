export type Topics<S> = ReturnType<typeof createTopics<S>>

/** Stores which subscribers have subscribed to which topics. */
export function createTopics<S>() {
  const topics = new Map<string, Set<S>>()

  return {
    /** Subscribes to a topic. Returns the function that unsubscribes. */
    subscribe(topic: string, subscriber: S): () => void {
      const subscribers = topics.get(topic) ?? new Set()
      topics.set(topic, subscribers.add(subscriber))
      return () => {
        subscribers.delete(subscriber)
        if (subscribers.size === 0 && topics.get(topic) === subscribers) topics.delete(topic)
      }
    },

    /** Returns every subscriber of any of these topics, once. */
    of(names: readonly string[]): Set<S> {
      const found = new Set<S>()
      for (const name of names) {
        for (const subscriber of topics.get(name) ?? []) found.add(subscriber)
      }
      return found
    },

    /** Returns whether a subscriber has subscribed to any of these topics. */
    has(names: readonly string[], subscriber: S): boolean {
      return names.some(name => topics.get(name)?.has(subscriber))
    },

    /** Returns every subscriber of any topic, once. */
    all(): Set<S> {
      return this.of([...topics.keys()])
    },

    get size() {
      return topics.size
    }
  }
}
