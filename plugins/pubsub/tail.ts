import postgres from 'postgres'
import { connectionOptions } from '../../lib/postgres/connection.ts'
import type { Signal } from '../../lib/signal.ts'
import { withTimeout } from '../../lib/with-timeout.ts'
import type { Sql } from '../../sql/executor.ts'
import { type EventPage, readAfter } from '../../sql/log.ts'

const limits = {
  // A page of this size takes 30–60 ms to read. One event may be larger.
  page: { rows: 1000, bytes: 2 << 20 },
  // A backend that was stopped sends nothing for ever, and neither an error.
  silentMs: 10_000
}

export interface TailOptions {
  /** URL of a direct connection. */
  url: string
  /** The position after which the first page begins. */
  pos: number
  /** Notified when there may be new events. */
  news: Signal
  /** How long to wait for a notification before the next query. */
  pollMs: () => number
  closing: AbortSignal
}

/**
 * Yields the events after a position, page by page and without end, from a connection of its own. Yields also empty pages,
 * because each page contains the epoch. The first page has one event at most and each next one twice as many, up to 1,000: a
 * caller that begins again after a failure advances, however slow the connection is. Throws when a query fails or takes
 * longer than 10 s; the caller begins again at its last position.
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
    // Planning takes longer than running this one statement, and its values do not change the plan.
    plan_cache_mode: 'force_generic_plan'
  })
  const sql: Sql = postgres(url, { ...options, max: 1 })
  const end = () => sql.end({ timeout: 0 })
  // At once: a database that hangs must not delay the end of the process.
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
