import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { ServerMessage } from '../../../schemas/live.ts'
import type { Subscription } from './subscription.ts'

export type Sender = ReturnType<typeof createSender>

export interface SenderParts {
  socket: WebSocket
  connection: Socket
  subscriptions: Map<string, Subscription>
  /** Called when the client has not received all sent messages within 30 s. */
  onTooSlow: () => void
}

const limits = {
  // A client with more unsent bytes is slow.
  maxBufferedBytes: 64 << 10,
  // A slow client that has not received all bytes after this time is disconnected. It can resume with its revisions.
  drainMs: 30_000
}

/** While more than 64 KiB are unsent, the subscriptions of the socket lag. When it has drained, they catch up. */
export function createSender({ socket, connection, subscriptions, onTooSlow }: SenderParts) {
  let draining: Promise<void> | undefined

  return {
    send,
    sendFrames,
    isFull,

    /** A promise that resolves when no subscription lags any more; undefined when none lags now. */
    get drained() {
      return draining
    },

    get state() {
      return draining ? ('lagging' as const) : ('live' as const)
    }
  }

  // A Buffer contains JSON already.
  function send(message: ServerMessage | object | Buffer) {
    if (socket.readyState !== socket.OPEN) return
    socket.send(Buffer.isBuffer(message) ? message : JSON.stringify(message), { binary: false })
    drainIfFull()
  }

  /** Sends whole frames in one system call. */
  function sendFrames(frames: Buffer) {
    if (socket.readyState !== socket.OPEN) return
    // ws sends a frame at once, too, because it compresses none.
    connection.write(frames)
    drainIfFull()
  }

  /** Returns whether the client is slow: nothing more should be sent until the socket has drained. */
  function isFull(): boolean {
    return socket.bufferedAmount > limits.maxBufferedBytes
  }

  function drainIfFull() {
    if (!isFull()) return
    draining ??= drain().finally(() => {
      draining = undefined
    })
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

  /** Waits until everything has been sent. Returns false after 30 s, and when the socket closes. */
  async function isDrained(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const timer = setTimeout(() => resolve(false), limits.drainMs)
    // Frames are sent in order, so the callback runs after all frames before the ping, or when the socket closes.
    socket.ping('', false, () => resolve(true))
    const isSent = await promise
    clearTimeout(timer)
    if (!isSent) onTooSlow()
    return isSent && socket.readyState === socket.OPEN
  }
}
