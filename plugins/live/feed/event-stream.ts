import { once } from 'node:events'
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Writable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { shutdownLimits } from '../../http/shutdown.ts'

const limits = {
  // A client with more unsent bytes is slow.
  maxBufferedBytes: 64 << 10,
  // A slow client that has not received all bytes after this time is disconnected. It can resume with its cursor.
  drainMs: 30_000,
  // The headers wait this long for the first block, so that one system call sends both.
  headersMs: 100,
  retryMs: { least: 1000, spread: 2000 }
}

/**
 * Writes one Server-Sent Events stream. A class, because a process has ten thousand of them: functions of their own
 * would take more memory than all the rest.
 */
export class EventStream {
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  #headersTimer: NodeJS.Timeout | undefined
  /** Sent as part of the first block, because some clients treat a block without data as a message. */
  #retry = retryLine()

  /** Sends 200 and the headers. Fastify sends nothing more on this reply. */
  constructor(reply: FastifyReply) {
    const { raw } = reply
    this.#request = reply.request.raw
    this.#response = raw
    raw.on('error', ignore) // `close` follows
    // Without chunked encoding, the bytes of an event are the same on every socket.
    raw.useChunkedEncodingByDefault = false
    raw.shouldKeepAlive = false
    reply.hijack()
    raw.writeHead(200, {
      ...(reply.getHeaders() as OutgoingHttpHeaders),
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-store, no-transform',
      'x-accel-buffering': 'no'
    })
    this.#writable.cork()
    raw.flushHeaders()
    this.#headersTimer = setTimeout(() => this.#sendHeaders(), limits.headersMs)
  }

  get isClosed(): boolean {
    return this.#request.destroyed
  }

  /** Calls a function when either side closes the connection. */
  onClose(callback: () => void) {
    // A response that waits for an earlier one on the same connection emits no `close`, but the request does.
    this.#request.once('close', callback)
  }

  /** Whether the client is slow: nothing more may be written until the stream has drained. */
  get isFull(): boolean {
    return this.bufferedBytes > limits.maxBufferedBytes
  }

  get bufferedBytes(): number {
    return this.#writable.writableLength
  }

  /** Sends blocks of the stream, such as events, in one system call. */
  write(blocks: Buffer) {
    this.#writable.write(this.#withRetry(blocks))
    if (this.#headersTimer) this.#sendHeaders()
  }

  /** Resolves when everything has been sent. Rejects after 30 s, and when `signal` aborts. */
  async drained(signal: AbortSignal) {
    const signals = [signal, AbortSignal.timeout(limits.drainMs)]
    await once(this.#writable, 'drain', { signal: AbortSignal.any(signals) })
  }

  end(block?: Buffer) {
    this.#response.end(this.#withRetry(block))
    if (this.#headersTimer) this.#sendHeaders()
    if (this.isClosed) return
    // Without this timer, the unsent bytes of a client that does not read would stay in memory for ever.
    const timer = setTimeout(() => this.#response.destroy(), shutdownLimits.streamMs)
    this.onClose(() => clearTimeout(timer))
  }

  /** Resets the connection of a slow client. The reset also frees the send buffer of the kernel. */
  reset() {
    this.#request.socket.resetAndDestroy()
  }

  #sendHeaders() {
    clearTimeout(this.#headersTimer)
    this.#headersTimer = undefined
    this.#writable.uncork()
  }

  // A write to the socket costs a fifth less than a write to the response. A response that waits for an earlier one on
  // the same connection has no socket yet.
  get #writable(): Writable {
    return this.#response.socket ?? this.#response
  }

  #withRetry(blocks: Buffer = Buffer.alloc(0)): Buffer {
    if (!this.#retry) return blocks
    const all = Buffer.concat([Buffer.from(this.#retry), blocks])
    this.#retry = ''
    return all
  }
}

function ignore() {}

/** Returns the line `retry` with a random time: clients that wait for the same time would reconnect together. */
function retryLine(): string {
  const { least, spread } = limits.retryMs
  return `retry: ${Math.round(least + Math.random() * spread)}\n`
}
