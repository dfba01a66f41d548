import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import { createBatch } from '../../../lib/batch.ts'
import type { ServerMessage } from '../../../schemas/live.ts'
import type { Subscription } from './subscription.ts'

export type Sender = ReturnType<typeof createSender>

export interface SenderParts {
  socket: WebSocket
  /** The TCP connection below the socket. */
  connection: Socket
  /** The subscriptions of the socket, by checklist. */
  subscriptions: Map<string, Subscription>
  /** Called when the client has not received within 30 s what was sent. */
  onTooSlow: () => void
}

const limits = {
  // A client with more unsent bytes is slow.
  maxBufferedBytes: 64 << 10,
  // A client that needs longer to receive them is disconnected, and resumes with its revisions.
  drainMs: 30_000
}

/**
 * Sends the messages of a socket, and holds its back-pressure: while more than 64 KiB are unsent its subscriptions lag, and
 * when the socket has drained they catch up.
 */
export function createSender({ socket, connection, subscriptions, onTooSlow }: SenderParts) {
  const batch = createBatch(connection)
  let draining: Promise<void> | undefined

  return {
    send,
    isFull,

    /** Resolves when no subscription lags any more; undefined when none does. */
    get drained() {
      return draining
    },

    get state() {
      return draining ? ('lagging' as const) : ('live' as const)
    }
  }

  /** Sends a message, or bytes that are one. All messages of one tick are sent in one system call. */
  function send(message: ServerMessage | object | Buffer) {
    if (socket.readyState !== socket.OPEN) return
    batch.begin()
    socket.send(Buffer.isBuffer(message) ? message : JSON.stringify(message), { binary: false })
    if (isFull()) {
      draining ??= drain().finally(() => {
        draining = undefined
      })
    }
  }

  /** Returns whether so much is unsent that nothing more should be sent. */
  function isFull(): boolean {
    // The messages of this tick are not sent yet.
    if (socket.bufferedAmount > limits.maxBufferedBytes) batch.flush()
    return socket.bufferedAmount > limits.maxBufferedBytes
  }

  async function drain() {
    while (isFull() || [...subscriptions.values()].some(({ state }) => state === 'lagging')) {
      for (const subscription of subscriptions.values()) subscription.lag()
      if (!(await isDrained())) return
      for (const subscription of [...subscriptions.values()]) {
        if (!isFull()) await subscription.resume()
      }
    }
  }

  /** Waits until everything has been sent. Returns false when that takes too long, or the socket closes. */
  async function isDrained(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const timer = setTimeout(() => resolve(false), limits.drainMs)
    // Frames are sent in order: when this one is, all before it are. Its callback is also called when the socket closes.
    socket.ping('', false, () => resolve(true))
    const isSent = await promise
    clearTimeout(timer)
    if (!isSent) onTooSlow()
    return isSent && socket.readyState === socket.OPEN
  }
}
