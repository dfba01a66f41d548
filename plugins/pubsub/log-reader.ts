import { withTimeout } from '../../lib/with-timeout.ts'
import type { Sql } from '../../sql/executor.ts'
import { readAfter, readEpoch } from '../../sql/log.ts'
import type { Page } from './follow.ts'

const limits = {
  // Reading a page of this size takes 30–60 ms. The last event of a page may exceed the byte limit.
  rows: 1000,
  bytes: 2 << 20,
  // A PostgreSQL process that is suspended sends neither a response nor an error.
  silentMs: 10_000
}

/**
 * Returns a function that reads the page of events after a position. The first page has at most one event, each next
 * page twice as many, and a page after a failure one again, so that retries make progress on a slow connection. The
 * last page ends at the head of the log. Throws when a query fails or takes longer than 10 s.
 */
export function createLogReader(sql: Sql): (after: number) => Promise<Page> {
  let nextRows = 1
  let life = { epochKey: '', epoch: '' }

  return async after => {
    const rows = nextRows
    nextRows = 1
    for (;;) {
      const page = await withTimeout(
        readAfter(sql, after, { rows, bytes: limits.bytes }),
        limits.silentMs
      )
      const { epochKey, committedHead: head, events, isLast } = page
      // Equal keys mean equal epochs: the epoch of this snapshot is the one that was read with the same key.
      if (epochKey === life.epochKey) {
        nextRows = Math.min(rows * 2, limits.rows)
        const to = isLast ? Math.max(after, head) : (events.at(-1)?.pos ?? after)
        return { epoch: life.epoch, after, to, head, events }
      }
      life = await withTimeout(readEpoch(sql), limits.silentMs)
    }
  }
}
