import postgres from 'postgres'
import type { Bell } from '../../lib/bell.ts'
import { inTime } from '../../lib/in-time.ts'
import type { Sql } from '../../sql/executor.ts'
import { type Page, readAfter } from '../../sql/log.ts'
import { connection } from '../db/index.ts'

const limits = {
  page: 1000,
  // A connection that is silent for longer is dropped: a stopped backend would be silent for ever.
  answerMs: 10_000
}

export interface TailOptions {
  /** DSN of a direct connection. */
  url: string
  /** The position after which to begin. */
  pos: number
  /** Rung when there may be more. */
  bell: Bell
  /** How long to wait for the bell before looking all the same. */
  pollMs: () => number
  signal: AbortSignal
}

/**
 * Everything after a position, page by page and without end, on a connection of its own. A page is yielded
 * for every look, also an empty one: it says which life of the database answered. Throws when reading
 * fails: the caller begins again where it was.
 */
export async function* tail({ url, pos, bell, pollMs, signal }: TailOptions): AsyncGenerator<Page> {
  const sql: Sql = postgres(url, {
    ...connection,
    max: 1,
    connection: { ...connection.connection, application_name: 'concord tail' }
  })
  const end = () => sql.end({ timeout: 0 })
  // At once: a database that hangs must not keep the process.
  signal.addEventListener('abort', end)
  try {
    for (let from = pos; !signal.aborted; ) {
      const page = await inTime(readAfter(sql, from, limits.page), limits.answerMs)
      from = page.events.at(-1)?.pos ?? from
      yield page
      if (page.events.length < limits.page) await bell.rung(pollMs())
    }
  } finally {
    signal.removeEventListener('abort', end)
    await end()
  }
}
