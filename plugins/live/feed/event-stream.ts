import { once } from 'node:events'
import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyReply } from 'fastify'
import { createBatch } from '../../../lib/batch.ts'

export type EventStream = ReturnType<typeof openEventStream>

const limits = {
  // A client with more unsent is slow.
  maxBufferedBytes: 64 << 10,
  // A client that takes longer to receive them is closed, and resumes with its cursor.
  behindMs: 30_000,
  // Time to send the last block.
  lingerMs: 5000,
  retryMs: { least: 1000, spread: 2000 }
}

/** Sends 200 and the head of a Server-Sent Events stream at once, and takes the reply out of Fastify's hands. */
export function openEventStream(reply: FastifyReply) {
  const { raw, request } = reply
  const closed = new AbortController()
  // A response that is queued behind another on its connection has no socket and never closes; the request does.
  request.raw.once('close', () => closed.abort())
  if (request.raw.destroyed) closed.abort()
  raw.on('error', () => {}) // a reset by the peer is followed by close
  // Unchunked, so that bytes made once a event go to every socket as they are; the connection ends the body.
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
  // Part of the first block: some clients take a block without data for a message.
  let retry = retryLine()
  return {
    /** Aborted when the connection is gone, whoever closed it. */
    closed: closed.signal,

    /** Whether the client is so slow that more must not be written. */
    get isFull() {
      // What this tick has written is not sent yet.
      if (raw.writableLength > limits.maxBufferedBytes) batch.flush()
      return raw.writableLength > limits.maxBufferedBytes
    },

    get bufferedBytes() {
      return raw.writableLength
    },

    /** Writes one block. All blocks of one tick leave in one system call. */
    write(bytes: Buffer) {
      batch.begin()
      writeRetry()
      raw.write(bytes)
    },

    /** Resolves once all is sent; rejects when that takes too long, the connection closes, or `signal` aborts. */
    async drained(signal: AbortSignal) {
      const signals = [signal, closed.signal, AbortSignal.timeout(limits.behindMs)]
      await once(raw, 'drain', { signal: AbortSignal.any(signals) })
    },

    /** Writes a last block and ends the stream. */
    end(bytes?: Buffer) {
      writeRetry()
      raw.end(bytes)
      if (closed.signal.aborted) return
      // A client that does not read would hold what is unsent for ever.
      const timer = setTimeout(() => raw.destroy(), limits.lingerMs)
      closed.signal.addEventListener('abort', () => clearTimeout(timer))
    },

    /** Resets the connection of a client that is too slow, which also frees what the kernel keeps for it. */
    drop() {
      request.raw.socket.resetAndDestroy()
    }
  }

  function writeRetry() {
    if (retry) raw.write(retry)
    retry = ''
  }
}

/** A random time, or all clients would reconnect at once. A client obeys the line without the end of its block. */
function retryLine(): string {
  const { least, spread } = limits.retryMs
  return `retry: ${Math.round(least + Math.random() * spread)}\n`
}
