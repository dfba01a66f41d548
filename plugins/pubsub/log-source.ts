import type { FastifyInstance } from 'fastify'
import { createSignal } from '../../lib/signal.ts'
import type { Follow } from './follow.ts'
import { createListener } from './listener.ts'
import { createTail } from './tail.ts'

/** Where the pages of a process come from. */
export interface Source {
  follow: Follow
  /** Returns whether notifications arrive; otherwise, events are found by polling. */
  isListening(): boolean
  /** Called when a client waits for the delivery of its own commit: the next page should come at once. */
  onWait(): void
  close(): Promise<void>
}

const limits = {
  // Finds events whose notification was lost.
  pollMs: 1500,
  unnotifiedPollMs: 250
}

export type SourceParts = Pick<FastifyInstance, 'config' | 'database' | 'sql' | 'log' | 'metrics'>

/** Opens a LISTEN connection. The pages are read from PostgreSQL. */
export async function createLogSource({
  database,
  sql,
  log,
  metrics
}: SourceParts): Promise<Source> {
  const { listenUrl: url } = database
  const news = createSignal()
  const awaited = createSignal()
  const listener = await createListener({
    url,
    sql,
    log,
    onConnect() {
      metrics.listenerConnects.inc()
      news.notify()
    },
    onNotification() {
      metrics.notifications.inc()
      news.notify()
    }
  })
  const pollMs = () => (listener.isListening ? limits.pollMs : limits.unnotifiedPollMs)

  return {
    follow: createTail({ url, news, awaited, pollMs, onRead: () => metrics.logReads.inc() }),
    isListening: () => listener.isListening,
    onWait: awaited.notify,
    close: () => listener.close()
  }
}
