import type { Cursor } from '../../lib/cursor.ts'
import type { LogEvent } from '../../lib/event.ts'

/** A part of the log of one epoch: every event with a position above `after` and not above `to`, in that order. */
export interface Page {
  epoch: string
  after: number
  to: number
  /** the newest committed position that the source knows */
  head: number
  events: LogEvent[]
}

/**
 * A source of pages. Yields the events after `from` until `signal` aborts, and a page without events when there is none
 * for some seconds. Throws, or ends, when it cannot go on; the caller then starts it again.
 *
 * A page states facts and decides nothing. The caller skips events that it has, reads events that a page leaves out
 * from PostgreSQL, and compares its epoch with PostgreSQL when a page is of another epoch or ends too early. So a source
 * may repeat, reorder or lose pages. It must not yield a page that contains other events than the log.
 */
export type Follow = (from: Cursor, signal: AbortSignal) => AsyncIterable<Page>
