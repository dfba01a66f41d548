import postgres from 'postgres'
import { connectionOptions } from '../../lib/postgres/connection.ts'
import type { Signal } from '../../lib/signal.ts'
import type { Sql } from '../../sql/executor.ts'
import type { Follow } from './follow.ts'
import { createLogReader } from './log-reader.ts'

// The first of several notifications causes a query at once. All others of the next 10 ms cause one more. After a delivery
// that took longer, the rest is as long as the delivery, at most 20 ms: so with many clients, more commits share one write
// to each. A client of this node that waits for its own commit ends the rest.
const limits = { minIntervalMs: 10, maxRestMs: 20 }

export interface TailOptions {
  url: string
  /** Notified after commits. */
  news: Signal
  /** Notified when a client of this node waits for its own commit: the next query then starts at once. */
  awaited: Signal
  /** Returns how long to wait for a notification before the next query. */
  pollMs: () => number
  /** Called after each query. */
  onRead: () => void
}

/** Opens the connection that reads the log. */
export function openTailConnection(url: string): Sql {
  const options = connectionOptions({
    application_name: 'concord tail',
    // Planning takes longer than running this statement, and its parameters do not change the plan. The planner does
    // not know them, so it expects a third of the log: without `jit: off`, PostgreSQL would compile the statement for
    // 100 ms. A plan that was made while the log was empty would scan all of it.
    plan_cache_mode: 'force_generic_plan',
    jit: 'off',
    enable_seqscan: 'off'
  })
  return postgres(url, { ...options, max: 1 })
}

/** Returns a source that reads the log on a connection of its own: after each notification, and by polling. */
export function createTail({ url, news, awaited, pollMs, onRead }: TailOptions): Follow {
  return async function* tail({ pos }, signal) {
    const sql = openTailConnection(url)
    const read = createLogReader(sql)
    // Close the connection at once, because a database that hangs must not delay the end of the process.
    const end = () => {
      news.notify()
      awaited.notify()
      return sql.end({ timeout: 0 })
    }
    signal.addEventListener('abort', end)
    try {
      for (let after = pos; !signal.aborted; ) {
        const readAt = performance.now()
        const page = await read(after)
        onRead()
        after = page.to
        yield page
        if (page.to < page.head) continue
        // Wait before `news`: the next query then also covers what is notified meanwhile.
        const elapsedMs = performance.now() - readAt
        const restMs = Math.max(limits.minIntervalMs - elapsedMs, elapsedMs)
        await awaited.wait(Math.min(restMs, limits.maxRestMs))
        await news.wait(pollMs())
      }
    } finally {
      signal.removeEventListener('abort', end)
      await end()
    }
  }
}
