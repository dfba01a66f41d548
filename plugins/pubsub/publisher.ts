import postgres from 'postgres'
import type { Cursor } from '../../lib/cursor.ts'
import { connectionOptions } from '../../lib/postgres/connection.ts'
import { withTimeout } from '../../lib/with-timeout.ts'
import { tryPublisherLock } from '../../sql/log.ts'
import type { Page } from './follow.ts'
import { createLogSource, type Source, type SourceParts } from './log-source.ts'

const limits = { lockMs: 5000 }

/** Reads the log for all nodes while no other node does. */
export function createPublisher(app: SourceParts) {
  const { log, database } = app
  let source: Source | undefined
  let running: Promise<void> | undefined

  return {
    isPublishing: () => source !== undefined,
    /** Returns whether notifications arrive. Undefined on a node that does not publish. */
    isListening: () => source?.isListening(),
    onWait: () => source?.onWait(),
    /** Resolves when this node publishes nothing. */
    stopped: async () => running,

    /**
     * Calls `publish` with each page after a cursor, unless another node has the lock. Ends when `signal` aborts, when
     * `publish` rejects, and when the lock is lost.
     */
    start(from: Cursor, signal: AbortSignal, publish: (page: Page) => Promise<void>) {
      running ??= run(from, signal, publish).finally(() => {
        running = undefined
      })
    }
  }

  async function run(from: Cursor, signal: AbortSignal, publish: (page: Page) => Promise<void>) {
    const lost = new AbortController()
    // The lock belongs to this connection.
    const sql = postgres(database.listenUrl, {
      ...connectionOptions({ application_name: 'concord publisher' }),
      max: 1,
      onclose: () => lost.abort()
    })
    try {
      if (!(await withTimeout(tryPublisherLock(sql), limits.lockMs)) || signal.aborted) return
      source = await createLogSource(app)
      log.info('this node reads the log and sends it to the others')
      for await (const page of source.follow(from, AbortSignal.any([signal, lost.signal])))
        await publish(page)
    } catch (err) {
      if (!signal.aborted) log.warn({ err }, 'this node does not send the log any more')
    } finally {
      const opened = source
      source = undefined
      await opened?.close()
      await sql.end({ timeout: 0 })
    }
  }
}
