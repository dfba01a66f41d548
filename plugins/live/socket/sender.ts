import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { ServerMessage } from '../../../schemas/live.ts'
import type { Subscription } from './subscription.ts'

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
export class Sender {
  readonly #parts: SenderParts
  #draining: Promise<void> | undefined

  constructor(parts: SenderParts) {
    this.#parts = parts
  }

  /** A promise that resolves when no subscription lags any more; undefined when none lags now. */
  get drained() {
    return this.#draining
  }

  get state() {
    return this.#draining ? 'lagging' : 'live'
  }

  /** Whether the client is slow: nothing more should be sent until the socket has drained. */
  get isFull(): boolean {
    return this.#parts.socket.bufferedAmount > limits.maxBufferedBytes
  }

  /** A Buffer contains JSON already. */
  send(message: ServerMessage | object | Buffer) {
    const { socket } = this.#parts
    if (socket.readyState !== socket.OPEN) return
    socket.send(Buffer.isBuffer(message) ? message : JSON.stringify(message), { binary: false })
    this.#drainIfFull()
  }

  /** Sends whole frames in one system call. */
  sendFrames(frames: Buffer) {
    const { socket, connection } = this.#parts
    if (socket.readyState !== socket.OPEN) return
    // ws sends a frame at once, too, because it compresses none.
    connection.write(frames)
    this.#drainIfFull()
  }

  #drainIfFull() {
    if (!this.isFull) return
    this.#draining ??= this.#drain().finally(() => {
      this.#draining = undefined
    })
  }

  async #drain() {
    const { subscriptions } = this.#parts
    while (this.isFull || [...subscriptions.values()].some(({ state }) => state === 'lagging')) {
      for (const subscription of subscriptions.values()) subscription.lag()
      if (!(await this.#isDrained())) return
      for (const subscription of [...subscriptions.values()]) {
        if (!this.isFull) await subscription.resume()
      }
    }
  }

  /** Waits until everything has been sent. Returns false after 30 s, and when the socket closes. */
  async #isDrained(): Promise<boolean> {
    const { socket, onTooSlow } = this.#parts
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
