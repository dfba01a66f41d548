export function createTopics<S>() {
  const topics = new Map<string, Set<S>>()

  return {
    /** Subscribes to a topic. Returns a function that unsubscribes. */
    subscribe(topic: string, subscriber: S): () => void {
      const subscribers = topics.get(topic) ?? new Set()
      topics.set(topic, subscribers.add(subscriber))
      return () => {
        subscribers.delete(subscriber)
        if (subscribers.size === 0 && topics.get(topic) === subscribers) topics.delete(topic)
      }
    },

    of(names: readonly string[]): Set<S> {
      const found = new Set<S>()
      for (const name of names) {
        for (const subscriber of topics.get(name) ?? []) found.add(subscriber)
      }
      return found
    },

    /** Returns the live sets of the subscribers of these topics. A set changes with every later `subscribe`. */
    setsOf(names: readonly string[]): ReadonlySet<S>[] {
      return names.flatMap(name => topics.get(name) ?? [])
    },

    all(): Set<S> {
      return this.of([...topics.keys()])
    },

    get size() {
      return topics.size
    }
  }
}
