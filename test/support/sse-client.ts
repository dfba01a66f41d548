import { EventEmitter, once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Test } from 'tap'
import type { HttpsFetch } from './https-fetch.ts'

type Headers = Record<string, string>

/** One event of `GET /events` with its raw fields. */
export interface SseEvent {
  event: string
  id: string
  data: Record<string, unknown>
}

interface FeedOptions {
  query?: string
  cursor?: string
  fetch?: HttpsFetch
}

export type Feed = Awaited<ReturnType<typeof openFeed>>

/**
 * Opens `GET /events` with `fetch`, or another function like it. `next` waits for the next event of a type and skips the
 * events before it.
 */
export async function openFeed(
  t: Test,
  url: string,
  headers: Headers,
  { query = '', cursor, fetch = globalThis.fetch as HttpsFetch }: FeedOptions = {}
) {
  const controller = new AbortController()
  t.teardown(() => controller.abort())
  const response = await fetch(`${url}/events${query}`, {
    headers: { ...headers, ...(cursor !== undefined && { 'last-event-id': cursor }) },
    signal: controller.signal
  })
  const arrivals = new EventEmitter()
  const events: SseEvent[] = []
  let taken = 0
  let isEnded = false
  const ended = read().finally(() => {
    isEnded = true
    arrivals.emit('event')
  })

  return {
    response,
    events,
    /** Resolves when the stream has ended, by either side. */
    ended,
    stop: () => controller.abort(),

    async next(type?: string): Promise<SseEvent> {
      for (;;) {
        while (taken < events.length) {
          const event = events[taken++] as SseEvent
          if (type === undefined || event.event === type) return event
        }
        if (isEnded) throw new Error(`the stream ended before ${type}`)
        await once(arrivals, 'event')
      }
    }
  }

  async function read() {
    const split = blockSplitter()
    try {
      for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        for (const block of split(chunk)) receive(block)
      }
    } catch {
      // Either side has closed the connection.
    }
  }

  function receive(block: string) {
    const { event, id = '', data = '{}' } = fieldsOf(block)
    if (event === undefined) return
    events.push({ event, id, data: JSON.parse(data) })
    arrivals.emit('event')
  }
}

/** Returns the position in an event id `<epoch>.<position in base 36>`, or -1 for any other id. */
export function positionOf(id: string): number {
  const [, digits] = /^[0-9a-f]{12}\.([0-9a-z]+)$/.exec(id) ?? []
  return digits === undefined ? -1 : Number.parseInt(digits, 36)
}

/** One of many streams, on a bare socket. */
export interface RawFeed {
  socket: Socket
  /** everything received, with the head of the response */
  text: string
  isClosed: boolean
  /** ids of the received events of projects, in order */
  ids: string[]
  /** id of the last event received, to resume with */
  cursor: string
}

/**
 * Opens one `GET /events` for each cursor, 250 at a time, on bare sockets, which cost this process least. Resolves when
 * every stream has received an event with an id, or has closed.
 */
export async function openRawFeeds(
  t: Test,
  url: string,
  headers: Headers,
  cursors: (string | undefined)[]
): Promise<RawFeed[]> {
  const feeds: RawFeed[] = []
  t.teardown(() => {
    for (const { socket } of feeds) socket.destroy()
  })
  for (let n = 0; n < cursors.length; n += 250) {
    const opening = cursors
      .slice(n, n + 250)
      .map(cursor => openRawFeed(url, { ...headers, ...(cursor && { 'last-event-id': cursor }) }))
    feeds.push(...(await Promise.all(opening)))
  }
  return feeds
}

function openRawFeed(url: string, headers: Headers): Promise<RawFeed> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const lines = Object.entries({ host: 'localhost', ...headers }).map(
    ([name, value]) => `${name}: ${value}`
  )
  socket.write(['GET /events HTTP/1.1', ...lines, '', ''].join('\r\n'))
  const feed: RawFeed = { socket, text: '', isClosed: false, ids: [], cursor: '' }
  const split = blockSplitter()
  return new Promise(resolve => {
    socket.on('error', () => {})
    socket.setEncoding('utf8').on('data', chunk => {
      for (const block of split(String(chunk))) receive(feed, block)
      if (feed.cursor !== '') resolve(feed)
    })
    socket.on('close', () => {
      feed.isClosed = true
      resolve(feed)
    })
  })
}

function receive(feed: RawFeed, block: string) {
  feed.text += `${block}\n\n`
  const { event, id } = fieldsOf(block)
  if (id === undefined) return
  feed.cursor = id
  if (event !== 'ready' && event !== 'heartbeat') feed.ids.push(id)
}

/** Returns a function that takes chunks of a stream and returns the blocks that each chunk completes. */
function blockSplitter() {
  let rest = ''
  return (chunk: string): string[] => {
    const blocks = `${rest}${chunk}`.split('\n\n')
    rest = blocks.pop() ?? ''
    return blocks
  }
}

function fieldsOf(block: string): Record<string, string | undefined> {
  return Object.fromEntries(
    block.split('\n').map(line => {
      const colon = line.indexOf(': ')
      return [line.slice(0, colon), line.slice(colon + 2)]
    })
  )
}
