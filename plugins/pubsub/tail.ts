import postgres from 'postgres'
import type { Signal } from '../../lib/signal.ts'
import { withTimeout } from '../../lib/with-timeout.ts'
import type { Sql } from '../../sql/executor.ts'
import { type EventPage, readAfter } from '../../sql/log.ts'
import { connection } from '../db/pools.ts'

const limits = {
  // A page of this weight takes 30–60 ms to read. One event may weigh more.
  page: { rows: 1000, bytes: 2 << 20 },
  // A connection that is silent for longer is closed: a stopped backend would be silent for ever.
  answerMs: 10_000
}

export interface TailOptions {
  /** DSN of a direct connection. */
  url: string
  /** The position after which to begin. */
  pos: number
  /** Rung when there may be more. */
  bell: Signal
  /** How long to wait for the bell before looking all the same. */
  pollMs: () => number
  signal: AbortSignal
}

/**
 * Yields everything after a position, page by page and without end, from a connection of its own. It yields a
 * page for every query, also an empty one, because each tells the epoch. The first page has one event at most
 * and each next one twice as many, up to 1,000: a caller that begins again after a failure advances, however
 * slow the connection is. Throws when a page fails or takes longer than 10 s; the caller begins again at its
 * last position.
 */
export async function* tail({
  url,
  pos,
  bell,
  pollMs,
  signal
}: TailOptions): AsyncGenerator<EventPage> {
  const sql: Sql = postgres(url, {
    ...connection,
    max: 1,
    connection: {
      ...connection.connection,
      application_name: 'concord tail',
      // Planning takes longer than running this one statement, and no value of its changes the plan.
      plan_cache_mode: 'force_generic_plan'
    }
  })
  const end = () => sql.end({ timeout: 0 })
  // At once: a database that hangs must not keep the process.
  signal.addEventListener('abort', end)
  const { bytes } = limits.page
  let rows = 1
  try {
    for (let from = pos; !signal.aborted; ) {
      const page = await withTimeout(readAfter(sql, from, { rows, bytes }), limits.answerMs)
      from = page.events.at(-1)?.pos ?? from
      rows = Math.min(rows * 2, limits.page.rows)
      yield page
      if (page.isLast) await bell.rung(pollMs())
    }
  } finally {
    signal.removeEventListener('abort', end)
    await end()
  }
}
