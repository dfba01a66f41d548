import { once } from 'node:events'
import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyReply } from 'fastify'

export type EventStream = ReturnType<typeof openEventStream>

const limits = {
  // More than this unsent and the reader is slow: it leaves the live set until it has drained.
  maxBufferedBytes: 64 << 10,
  retryMs: { least: 1000, spread: 2000 }
}

/** Answers 200 and the head of a Server-Sent Events stream at once, and takes the reply out of Fastify's hands. */
export function openEventStream(reply: FastifyReply) {
  const { raw } = reply
  const closed = new AbortController()
  raw.once('close', () => closed.abort())
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
  raw.write(retryLine())

  let isCorked = false
  return {
    /** Aborted when the connection is gone, whoever closed it. */
    closed: closed.signal,

    /** Whether the reader is so slow that more must not be written. */
    get isFull() {
      return raw.writableLength > limits.maxBufferedBytes
    },

    /** Writes; what one tick owes the reader leaves in one system call. */
    write(bytes: Buffer) {
      if (!isCorked) {
        isCorked = true
        raw.cork()
        process.nextTick(() => {
          isCorked = false
          raw.uncork()
        })
      }
      raw.write(bytes)
    },

    /** Resolves once the reader has caught up; rejects when it is gone or `timeoutMs` are over. */
    async drained(timeoutMs: number) {
      const signal = AbortSignal.any([closed.signal, AbortSignal.timeout(timeoutMs)])
      await once(raw, 'drain', { signal })
    },

    /** Says good-bye, and when to come back: apart from the others, or all would come at once. */
    end(bytes?: Buffer) {
      if (bytes) raw.write(bytes)
      raw.end(retryLine())
    }
  }
}

function retryLine(): string {
  const { least, spread } = limits.retryMs
  return `retry: ${Math.round(least + Math.random() * spread)}\n\n`
}
