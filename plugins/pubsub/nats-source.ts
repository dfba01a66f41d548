import type { NatsOptions } from '../../lib/config.ts'
import { deriveKeys, type Keys } from '../../lib/keys.ts'
import { readDatabaseId } from '../../sql/log.ts'
import type { Page } from './follow.ts'
import { createLogReader } from './log-reader.ts'
import type { Source, SourceParts } from './log-source.ts'
import { connectNats } from './nats.ts'
import { createPageQueue } from './page-queue.ts'
import { createPublisher } from './publisher.ts'
import { openPage, sealPage } from './sealed-page.ts'

const limits = {
  // The publisher sends a page every 1.5 s, also when there is no event.
  silentMs: 3000,
  pollMs: 1000,
  maxWaitingBytes: 8 << 20
}

/**
 * Returns the source of a node that receives its pages from NATS. One node at a time, the publisher, reads the log and
 * sends each page to the others; core publish/subscribe keeps nothing. A node that has received no page for 3 s reads
 * PostgreSQL once a second, sends these pages too, and tries to become the publisher. Two publishers do no harm, because
 * every page names the position before it.
 */
export async function createNatsSource(app: SourceParts, options: NatsOptions): Promise<Source> {
  const { config, sql, log, metrics } = app
  const keys: Keys = deriveKeys(config.jwtSecrets ?? [])
  const nats = connectNats(options, log)
  const publisher = createPublisher(app)
  let silentAt = 0
  const gauge = (name: string, help: string, read: () => boolean) =>
    metrics.gauge(name, help, () => Number(read()))
  gauge('nats_up', '1 while this node is connected to NATS', nats.isConnected)
  gauge('publisher', '1 on the node that sends the log to the others', publisher.isPublishing)

  return {
    async *follow({ epoch, pos }, signal) {
      const subject = `concord.log.${await readDatabaseId(sql)}`
      const queue = createPageQueue(limits.maxWaitingBytes)
      const read = createLogReader(sql)
      const ended = new AbortController()
      const either = AbortSignal.any([signal, ended.signal])
      const unsubscribe = nats.subscribe(subject, message => {
        queue.push(() => {
          const page = openPage(message, keys)
          if (!page) metrics.foreignPages.inc()
          return page
        }, message.length)
      })
      signal.addEventListener('abort', () => queue.push(() => undefined))
      const publish = (page: Page) => nats.publish(subject, [...sealPage(page, keys)])
      const publishOwn = (page: Page) => {
        queue.push(() => page, sizeOf(page))
        return publish(page)
      }
      let after = pos
      silentAt = 0
      try {
        while (!signal.aborted) {
          const readPage = await queue.shift(Math.max(0, silentAt - performance.now()))
          let page = readPage?.()
          if (page) silentAt = within(limits.silentMs)
          else if (performance.now() >= silentAt) {
            page = await read(after)
            metrics.logReads.inc()
            silentAt = within(limits.pollMs)
            if (nats.isConnected()) {
              publish(page).catch(() => {})
              publisher.start({ epoch, pos: after }, either, publishOwn)
            }
          }
          if (!page) continue
          if (page.epoch === epoch) after = Math.max(after, page.to)
          yield page
        }
      } finally {
        unsubscribe()
        ended.abort()
        await publisher.stopped()
      }
    },
    isListening: () => publisher.isListening() ?? performance.now() < silentAt,
    onWait: publisher.onWait,
    async close() {
      await publisher.stopped()
      await nats.close()
    }
  }
}

const sizeOf = ({ events }: Page) => events.reduce((sum, { bytes }) => sum + bytes, 0)

/** Returns a time in `ms` milliseconds or up to a third later, so that nodes do not act together. */
const within = (ms: number) => performance.now() + ms * (1 + Math.random() / 3)
