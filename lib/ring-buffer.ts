export interface BufferedEvent {
  pos: number
  bytes: number
}

/** Returns a buffer of the newest events, so that most catch-ups need no query. Push events in the order of `pos`. */
export function createRingBuffer<T extends BufferedEvent>(limits: {
  max: number
  maxBytes: number
}) {
  let events: T[] = []
  let first = 0
  let bytes = 0
  /** The buffer contains every event after this position. */
  let floor = 0

  return {
    /** Deletes all events. The next event to push is the first one after `pos`. */
    reset(pos: number) {
      events = []
      first = 0
      bytes = 0
      floor = pos
    },

    push(event: T) {
      events.push(event)
      bytes += event.bytes
      while (events.length - first > limits.max || bytes > limits.maxBytes) evict()
    },

    /** Adds all events between `pos` and the floor, unless they exceed a limit. Returns whether they were added. */
    prepend(older: T[], pos: number): boolean {
      const size = older.reduce((sum, event) => sum + event.bytes, 0)
      const count = events.length - first + older.length
      if (count > limits.max || bytes + size > limits.maxBytes) return false
      events = [...older, ...events.slice(first)]
      first = 0
      bytes += size
      floor = pos
      return true
    },

    /**
     * Returns the first `limit` events after `pos`. Returns null when an event after `pos` is no longer in the buffer.
     */
    after(pos: number, limit: number): T[] | null {
      if (pos < floor) return null
      const from = indexAfter(pos)
      return events.slice(from, from + limit)
    },

    get stats() {
      return { events: events.length - first, bytes, floor }
    }
  }

  function evict() {
    const oldest = events[first] as T
    bytes -= oldest.bytes
    floor = oldest.pos
    first++
    // The array is copied only once per 1,000 evictions, because a copy is expensive.
    if (first < 1000 && first < events.length) return
    events = events.slice(first)
    first = 0
  }

  function indexAfter(pos: number): number {
    let [low, high] = [first, events.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((events[middle] as T).pos <= pos) low = middle + 1
      else high = middle
    }
    return low
  }
}
