import { once } from 'node:events'
import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyReply } from 'fastify'
import { createBatch } from '../../../lib/batch.ts'
import { shutdownLimits } from '../../http/shutdown.ts'

export type EventStream = ReturnType<typeof openEventStream>

const limits = {
  // A client with more unsent bytes is slow.
  maxBufferedBytes: 64 << 10,
  // A client that needs longer to receive them is disconnected, and resumes with its cursor.
  drainMs: 30_000,
  retryMs: { least: 1000, spread: 2000 }
}

/** Sends 200 and the headers of a Server-Sent Events stream at once. From then on the reply is no longer Fastify's. */
export function openEventStream(reply: FastifyReply) {
  const { raw, request } = reply
  const closed = new AbortController()
  // A response that waits for another one on its connection has no socket and emits no close; the request does.
  request.raw.once('close', () => closed.abort())
  if (request.raw.destroyed) closed.abort()
  raw.on('error', () => {}) // followed by close
  // Without chunks the bytes of an event are the same on every socket. The body ends with the connection.
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

  const batch = createBatch(raw)
  // Part of the first block: some clients treat a block without data as a message.
  let retry = retryLine()
  return {
    /** Aborts when the connection is closed, by either side. */
    closed: closed.signal,

    /** Whether the client is so slow that nothing more may be written. */
    get isFull() {
      // The blocks of this tick are not sent yet.
      if (raw.writableLength > limits.maxBufferedBytes) batch.flush()
      return raw.writableLength > limits.maxBufferedBytes
    },

    get bufferedBytes() {
      return raw.writableLength
    },

    /** Writes one block. All blocks of one tick are sent in one system call. */
    write(block: Buffer) {
      batch.begin()
      writeRetry()
      raw.write(block)
    },

    /** Resolves when everything is sent. Rejects after 30 s, when the connection closes, and when `signal` aborts. */
    async drained(signal: AbortSignal) {
      const signals = [signal, closed.signal, AbortSignal.timeout(limits.drainMs)]
      await once(raw, 'drain', { signal: AbortSignal.any(signals) })
    },

    /** Writes a last block and ends the stream. */
    end(block?: Buffer) {
      writeRetry()
      raw.end(block)
      if (closed.signal.aborted) return
      // The unsent bytes of a client that does not read would stay in memory for ever.
      const timer = setTimeout(() => raw.destroy(), shutdownLimits.streamMs)
      closed.signal.addEventListener('abort', () => clearTimeout(timer))
    },

    /** Resets the connection of a slow client, which also frees the buffer of the kernel. */
    reset() {
      request.raw.socket.resetAndDestroy()
    }
  }

  function writeRetry() {
    if (retry) raw.write(retry)
    retry = ''
  }
}

/** Returns a random time: clients that wait for the same time would reconnect together. */
function retryLine(): string {
  const { least, spread } = limits.retryMs
  return `retry: ${Math.round(least + Math.random() * spread)}\n`
}
