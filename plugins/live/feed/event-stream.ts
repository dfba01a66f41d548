import { once } from 'node:events'
import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyReply } from 'fastify'
import { shutdownLimits } from '../../http/shutdown.ts'

export type EventStream = ReturnType<typeof openEventStream>

const limits = {
  // A client with more unsent bytes is slow.
  maxBufferedBytes: 64 << 10,
  // A slow client that has not received all bytes after this time is disconnected. It can resume with its cursor.
  drainMs: 30_000,
  retryMs: { least: 1000, spread: 2000 }
}

/** Sends 200 and the headers of a Server-Sent Events stream at once. Fastify sends nothing more on this reply. */
export function openEventStream(reply: FastifyReply) {
  const { raw, request } = reply
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
  raw.flushHeaders()

  // Sent as part of the first block, because some clients treat a block without data as a message.
  let retry = retryLine()
  return {
    get isClosed() {
      return request.raw.destroyed
    },

    /** Calls a function when either side closes the connection. */
    onClose(callback: () => void) {
      // A response that waits for an earlier one on the same connection emits no `close`, but the request does.
      request.raw.once('close', callback)
    },

    /** Whether the client is slow: nothing more may be written until the stream has drained. */
    get isFull() {
      return writable().writableLength > limits.maxBufferedBytes
    },

    get bufferedBytes() {
      return writable().writableLength
    },

    /** Sends blocks of the stream, such as events, in one system call. */
    write(blocks: Buffer) {
      writable().write(withRetry(blocks))
    },

    /** Resolves when everything has been sent. Rejects after 30 s, and when `signal` aborts. */
    async drained(signal: AbortSignal) {
      const signals = [signal, AbortSignal.timeout(limits.drainMs)]
      await once(writable(), 'drain', { signal: AbortSignal.any(signals) })
    },

    end(block?: Buffer) {
      raw.end(withRetry(block))
      if (request.raw.destroyed) return
      // Without this timer, the unsent bytes of a client that does not read would stay in memory for ever.
      const timer = setTimeout(() => raw.destroy(), shutdownLimits.streamMs)
      request.raw.once('close', () => clearTimeout(timer))
    },

    /** Resets the connection of a slow client. The reset also frees the send buffer of the kernel. */
    reset() {
      request.raw.socket.resetAndDestroy()
    }
  }

  // A write to the socket costs a fifth less than a write to the response. A response that waits for an earlier one on
  // the same connection has no socket yet.
  function writable() {
    return raw.socket ?? raw
  }

  function withRetry(blocks: Buffer = Buffer.alloc(0)): Buffer {
    if (!retry) return blocks
    const all = Buffer.concat([Buffer.from(retry), blocks])
    retry = ''
    return all
  }
}

function ignore() {}

/** Returns the line `retry` with a random time: clients that wait for the same time would reconnect together. */
function retryLine(): string {
  const { least, spread } = limits.retryMs
  return `retry: ${Math.round(least + Math.random() * spread)}\n`
}
