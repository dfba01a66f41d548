import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Keys } from '../../lib/keys.ts'
import type { Page } from './follow.ts'
import { formatPage, parsePage } from './page-queue.ts'

// A node of another format ignores these messages, and reads the events from PostgreSQL.
const FORMAT = '1'
const HEADER = new RegExp(`^${FORMAT} (\\S+) (\\S{43}) `)

const limits = {
  events: 200,
  // A NATS server accepts 1 MiB by default, and the JSON texts of an event at most double as part of a JSON string.
  bytes: 400 << 10
}

/**
 * Returns the messages of a page: `format kid mac page`, where `page` is JSON and `mac` authenticates it by HMAC-SHA-256,
 * because every client of the NATS server may be able to publish. An event that exceeds the limit is left out: its page
 * begins and ends at its position, so that the receivers read the event from PostgreSQL.
 */
export function* sealPage(page: Page, [{ kid, pages: key }]: Keys): Generator<Uint8Array> {
  for (const part of parts(page)) {
    const text = formatPage(part)
    yield Buffer.from(
      `${FORMAT} ${kid} ${createHmac('sha256', key).update(text).digest('base64url')} ${text}`
    )
  }
}

/** Returns the page of a message. Returns undefined when the message has another format or was not sent by a node. */
export function openPage(message: Uint8Array, keys: Keys): Page | undefined {
  const header = HEADER.exec(Buffer.from(message.subarray(0, 100)).toString('latin1'))
  const [start = '', kid, mac = ''] = header ?? []
  const key = keys.find(key => key.kid === kid)
  if (!key) return
  const text = message.subarray(start.length)
  const expected = createHmac('sha256', key.pages).update(text).digest()
  const given = Buffer.from(mac, 'base64url')
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return
  return parsePage(Buffer.from(text).toString())
}

/** Divides a page so that each part has at most 200 events and 400 KiB. */
function* parts({ epoch, after: start, to, head, events }: Page): Generator<Page> {
  let after = start
  let part: Page['events'] = []
  let bytes = 0
  for (const event of events) {
    const isLarge = event.bytes > limits.bytes
    if (
      part.length > 0 &&
      (isLarge || part.length === limits.events || bytes + event.bytes > limits.bytes)
    ) {
      const last = part.at(-1)?.pos as number
      yield { epoch, after, to: last, head, events: part }
      after = last
      part = []
      bytes = 0
    }
    if (isLarge) {
      yield { epoch, after: event.pos, to: event.pos, head, events: [] }
      after = event.pos
    } else {
      part.push(event)
      bytes += event.bytes
    }
  }
  yield { epoch, after, to, head, events: part }
}
