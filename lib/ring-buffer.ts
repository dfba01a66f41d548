/** What a ring keeps is ordered by `pos` and knows its own weight. */
export interface Positioned {
  pos: number
  bytes: number
}

export type RingBuffer<T extends Positioned> = ReturnType<typeof createRingBuffer<T>>

/**
 * The newest events in memory, so that a client that was away shortly costs no query.
 * `max` is a number of events, `maxBytes` their weight; `floor` is the position before the first.
 */
export function createRingBuffer<T extends Positioned>(limits: { max: number; maxBytes: number }) {
  let events: T[] = []
  let first = 0
  let bytes = 0
  let floor = 0

  return {
    /** Forgets everything: what is asked next is what comes after `pos`. */
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

    /** The first `limit` events after `pos` in order, or null when some of them are not here any more. */
    after(pos: number, limit: number): T[] | null {
      if (pos < floor) return null
      const from = indexAfter(pos)
      return events.slice(from, from + limit)
    },

    get span() {
      return { events: events.length - first, bytes, floor }
    }
  }

  function evict() {
    const oldest = events[first] as T
    bytes -= oldest.bytes
    floor = oldest.pos
    first++
    // Moving the rest down once a thousand evictions keeps each of them cheap.
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
