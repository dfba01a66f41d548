import postgres from 'postgres'
import { connectionOptions } from '../../lib/postgres/connection.ts'
import type { Signal } from '../../lib/signal.ts'
import { withTimeout } from '../../lib/with-timeout.ts'
import type { Sql } from '../../sql/executor.ts'
import { type EventPage, readAfter } from '../../sql/log.ts'

const limits = {
  // Reading a page of this size takes 30–60 ms. The last event of a page may exceed the byte limit.
  page: { rows: 1000, bytes: 2 << 20 },
  // A PostgreSQL process that is suspended sends neither a response nor an error.
  silentMs: 10_000
}

export interface TailOptions {
  url: string
  /** The position after which the first page begins. */
  pos: number
  news: Signal
  /** Returns how long to wait for a notification before the next query. */
  pollMs: () => number
  closing: AbortSignal
}

/**
 * Yields the events after a position, page by page. Also yields empty pages, because each page contains the epoch. The
 * first page has at most one event, each next page twice as many, so that a caller that starts again after a failure
 * makes progress on a slow connection. Throws when a query fails or takes longer than 10 s.
 */
export async function* tail({
  url,
  pos,
  news,
  pollMs,
  closing
}: TailOptions): AsyncGenerator<EventPage> {
  const options = connectionOptions({
    application_name: 'concord tail',
    // Planning takes longer than running this statement, and its parameters do not change the plan.
    plan_cache_mode: 'force_generic_plan'
  })
  const sql: Sql = postgres(url, { ...options, max: 1 })
  const end = () => sql.end({ timeout: 0 })
  // Close the connection at once, because a database that hangs must not delay the end of the process.
  closing.addEventListener('abort', end)
  const { bytes } = limits.page
  let rows = 1
  try {
    for (let from = pos; !closing.aborted; ) {
      const page = await withTimeout(readAfter(sql, from, { rows, bytes }), limits.silentMs)
      from = page.events.at(-1)?.pos ?? from
      rows = Math.min(rows * 2, limits.page.rows)
      yield page
      if (page.isLast) await news.wait(pollMs())
    }
  } finally {
    closing.removeEventListener('abort', end)
    await end()
  }
}
