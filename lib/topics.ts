/** Who wants what: a topic is a string, a subscriber anything with an identity. */
export type Topics<S> = ReturnType<typeof createTopics<S>>

export function createTopics<S>() {
  const topics = new Map<string, Set<S>>()

  return {
    /** Adds a subscriber and answers the way to remove it. */
    subscribe(topic: string, subscriber: S): () => void {
      const subscribers = topics.get(topic) ?? new Set()
      topics.set(topic, subscribers.add(subscriber))
      return () => {
        subscribers.delete(subscriber)
        if (subscribers.size === 0 && topics.get(topic) === subscribers) topics.delete(topic)
      }
    },

    /** Every subscriber of any of these topics, once. */
    of(names: readonly string[]): Set<S> {
      const found = new Set<S>()
      for (const name of names) {
        for (const subscriber of topics.get(name) ?? []) found.add(subscriber)
      }
      return found
    },

    /** Whether somebody subscribes to any of these topics. */
    has(names: readonly string[], subscriber: S): boolean {
      return names.some(name => topics.get(name)?.has(subscriber))
    },

    /** Every subscriber of any topic, once. */
    all(): Set<S> {
      return this.of([...topics.keys()])
    },

    get size() {
      return topics.size
    }
  }
}
