import { createParser } from 'eventsource-parser'
import type { ConcordError } from './errors.ts'
import { errorOf } from './http.ts'
import { createReconnecting, type Reconnecting } from './reconnect.ts'
import type { SessionManager } from './session.ts'
import { signedOutError } from './signed-out.ts'
import type { Clock, FeedEvent, LogLine } from './types.ts'

export interface StreamParts {
  address: string
  fetch: typeof fetch
  session: Pick<SessionManager, 'isUser' | 'headers' | 'ended'>
  clock: Clock
  log: (line: LogLine) => void
  /** id of a project: only its events are sent */
  project?: string
  /** Returns the cursor to resume after; undefined to begin with the next event. */
  cursor: () => string | undefined
  onEvent: (event: FeedEvent) => void
  /** Called when the stream was refused or has failed; it is tried again all the same. */
  onError?: (error: ConcordError) => void
  /** Reads more of the stream only after this has resolved. */
  drained?: () => Promise<void>
}

export interface Stream extends Reconnecting {
  /** Replaces the connection when it has been silent for longer than `ms`. */
  check(ms?: number): void
}

// The service sends a heartbeat at least every 20 s.
const limits = { silenceMs: 40_000, checkMs: 5000 }

/** Receives the events of `GET /events`, over one connection after another. */
export function createStream(parts: StreamParts): Stream {
  const { address, fetch, session, clock, log, project, cursor, onEvent } = parts
  let aliveAt = 0
  let retryMs: number | undefined
  const connection = createReconnecting({ clock, log, name: 'stream' }, connect)
  return { ...connection, check }

  function check(ms = limits.silenceMs) {
    if (clock.now() - aliveAt > ms) connection.restart()
  }

  async function connect(signal: AbortSignal, onOpen: () => void): Promise<number | undefined> {
    const headers = await session.headers(signal)
    aliveAt = clock.now()
    const stopWatching = watch()
    let isOpen = false
    try {
      const response = await fetch(`${address}/events?${query()}`, {
        headers: { accept: 'text/event-stream', ...headers },
        credentials: 'include',
        cache: 'no-store',
        signal
      })
      const type = response.headers.get('content-type') ?? ''
      if (!response.ok || !response.body || !type.startsWith('text/event-stream')) {
        throw errorOf(response, await response.text())
      }
      isOpen = true
      await read(response.body, signal, onOpen)
    } catch (error) {
      const { status } = error as ConcordError
      if (!signal.aborted) parts.onError?.(error as ConcordError)
      if (status === 401 || status === 403) session.ended('expired')
      if (!isOpen || retryMs === undefined || signal.aborted) throw error
      log({ level: 'debug', message: 'stream broken', error })
      return retryMs
    } finally {
      stopWatching()
    }
    // A stream that was opened with an access token ends with it: then resume at once with the new token.
    const newHeaders = await session.headers(signal)
    return JSON.stringify(newHeaders) === JSON.stringify(headers) ? retryMs : 0
  }

  function watch() {
    let stopTimer = () => {}
    const tick = () => {
      check()
      stopTimer = clock.setTimeout(tick, limits.checkMs)
    }
    tick()
    return () => stopTimer()
  }

  function query() {
    const after = cursor()
    return new URLSearchParams({
      ...(after && { last_event_id: after }),
      ...(project && { project })
    })
  }

  async function read(body: ReadableStream<Uint8Array>, signal: AbortSignal, onOpen: () => void) {
    const parser = createParser({
      onEvent({ event: type = '', id, data }) {
        if (signal.aborted) return
        const event = { ...JSON.parse(data), type, cursor: id ?? cursor() ?? '' } as FeedEvent
        if (event.type === 'session.ended') session.ended(event.reason)
        if (event.type === 'ready') {
          if (!session.isUser(event.userId)) {
            session.ended('expired')
            throw signedOutError()
          }
          onOpen()
        }
        onEvent(event)
      },
      onRetry(ms) {
        retryMs = ms
      }
    })
    const reader = body.pipeThrough(new TextDecoderStream() as never).getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      aliveAt = clock.now()
      parser.feed(value as unknown as string)
      if (!parts.drained) continue
      aliveAt = Number.POSITIVE_INFINITY // silent, because nothing is read
      await parts.drained()
      aliveAt = clock.now()
    }
  }
}
