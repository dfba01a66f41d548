import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { readLogState } from '../../sql/log.ts'
import type { Page } from '../pubsub/follow.ts'
import type { Source } from '../pubsub/log-source.ts'

const limits = { retryMs: 250 }

interface Receiver {
  onPage(page: Page): void
  /** Called when the log cannot be read, at each attempt. */
  onOutage(reason: string): void
}

/** Passes on the pages of `source`, from the head of the log on. Returns a function that stops. */
export async function sendPages(
  { sql, log }: Pick<FastifyInstance, 'sql' | 'log'>,
  source: Source,
  { onPage, onOutage }: Receiver
): Promise<() => Promise<void>> {
  const closing = new AbortController()
  const { epoch, committedHead } = await readLogState(sql)
  let cursor = { epoch, pos: committedHead }
  let isOutage = false
  const sending = run()
  return () => {
    closing.abort()
    return sending
  }

  async function run() {
    while (!closing.signal.aborted) {
      try {
        await follow()
      } catch (err) {
        if (closing.signal.aborted) return
        if (!isOutage) log.error({ err }, 'log query failed: retrying')
        isOutage = true
        onOutage((err as Error).message)
        await delay(limits.retryMs)
      }
    }
  }

  /** Returns when the log is shorter than before: an older state was put back, and the next page begins at its head. */
  async function follow() {
    for await (const page of source.follow(cursor, closing.signal)) {
      if (isOutage) log.info('log query works again')
      isOutage = false
      onPage(page)
      const { epoch, after, to, head } = page
      cursor = { epoch, pos: head < after ? head : to }
      if (head < after) return
    }
  }
}
