import type { Cursor } from '../../lib/cursor.ts'
import type { LogEvent } from '../../lib/event.ts'
import { createRingBuffer } from '../../lib/ring-buffer.ts'
import type { Sql } from '../../sql/executor.ts'
import { readBefore } from '../../sql/log.ts'

const limits = {
  buffer: { max: 10_000, maxBytes: 32 << 20 },
  // A client that misses more positions than this reads only the events that it may see, from the log.
  missing: 2000,
  page: { rows: 1000, bytes: 2 << 20 }
}

/** Keeps the newest events of the log, so that most clients that catch up need no query for their events. */
export function createMemory(sql: Sql, onRead: () => void) {
  const buffer = createRingBuffer<LogEvent>(limits.buffer)
  let epoch = ''
  /** Whether older events have exceeded the limits of the buffer. */
  let isFull = false
  let loading: Promise<boolean> | undefined

  return {
    push: buffer.push,

    get stats() {
      return buffer.stats
    },

    /** Deletes all events. The next event to push is the first one after the cursor. */
    reset(cursor: Cursor) {
      epoch = cursor.epoch
      isFull = false
      buffer.reset(cursor.pos)
    },

    /** Returns the first `limit` events after a cursor, or null when memory does not contain all of them. */
    after(cursor: Cursor, limit: number): LogEvent[] | null {
      return cursor.epoch === epoch ? buffer.after(cursor.pos, limit) : null
    },

    /**
     * Reads the events after a cursor from the log when at most 2,000 positions are missing and there is room for them.
     * So all clients that reconnect after a restart of the node share one reading of what they missed.
     */
    async load(cursor: Cursor) {
      while (cursor.epoch === epoch && isMissing(cursor.pos)) {
        loading ??= loadOlder(cursor.pos).finally(() => {
          loading = undefined
        })
        if (!(await loading)) return
      }
    }
  }

  function isMissing(pos: number): boolean {
    const { floor } = buffer.stats
    return !isFull && pos < floor && floor - pos <= limits.missing
  }

  /** Reads one page of the events after `after` and before those in memory. Returns whether memory has more events now. */
  async function loadOlder(after: number): Promise<boolean> {
    const { floor: upTo } = buffer.stats
    const { events, isLast, ...state } = await readBefore(sql, { after, upTo }, limits.page)
    onRead()
    const oldest = events[0]
    // Events up to `state.floor` may have been deleted.
    const floor = Math.max(state.floor, isLast || !oldest ? after : oldest.pos - 1)
    if (state.epoch !== epoch || buffer.stats.floor !== upTo || floor >= upTo) return false
    const isAdded = buffer.prepend(
      events.filter(({ pos }) => pos > floor),
      floor
    )
    isFull = !isAdded
    return isAdded
  }
}
