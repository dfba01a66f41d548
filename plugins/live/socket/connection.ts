import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { RawData, WebSocket } from 'ws'
import type { LogEvent } from '../../../lib/event.ts'
import type { TokenBuckets } from '../../../lib/token-bucket.ts'
import { withTimeout } from '../../../lib/with-timeout.ts'
import packageJson from '../../../package.json' with { type: 'json' }
import type { OpenSocket } from '../../../schemas/connections.ts'
import { maximum } from '../../../schemas/limits.ts'
import type { Identity } from '../../auth/authenticate.ts'
import { shutdownLimits } from '../../http/shutdown.ts'
import type { Subscriber } from '../../pubsub/pubsub.ts'
import { MessageHandler, type MessageHandlerParts, type MessageSource } from './messages.ts'
import { Sender } from './sender.ts'
import type { Subscription } from './subscription.ts'

const limits = {
  pingMs: 25_000,
  pongMs: 10_000,
  // Maximum number of messages that wait while one is handled. Then the socket is paused.
  queue: 32,
  badFrames: 20
}

/** Close codes of RFC 6455 and, from 4000 on, of this service. */
const closeCode = {
  unsupported: 1003,
  tooManyBadFrames: 4400,
  tokenExpired: 4401,
  sessionEnded: 4403,
  tooSlow: 4408,
  tooManyFrames: 4429,
  // from the IANA registry of close codes
  serviceRestart: 1012
}

export interface ConnectionParts {
  app: MessageHandlerParts['app'] & Pick<FastifyInstance, 'config' | 'endedSessions'>
  socket: WebSocket
  identity: Identity
  /** The TCP connection below the socket. */
  connection: Socket
  isMessage: MessageHandlerParts['isMessage']
  /** The messages of all connections, by the id of the connection. */
  rate: TokenBuckets
  onClosed: () => void
}

/**
 * Runs one socket until it closes, or its session or access token ends. Handles one message at a time. A class like those
 * below it, because a process has ten thousand of them: functions of their own would take more memory than all the rest.
 */
export class Connection implements Subscriber, MessageSource {
  readonly #parts: ConnectionParts
  readonly #id = randomUUID()
  readonly #openedAt = new Date()
  readonly #subscriptions = new Map<string, Subscription>()
  readonly #sender: Sender
  readonly #handler: MessageHandler
  readonly #queue: string[] = []
  #unsubscribes: (() => void)[] = []
  #expiresAt: number | null
  #handling: Promise<void> | undefined
  #badFrames = 0
  #isOpen = true
  #expiryTimer: NodeJS.Timeout | undefined
  #pingTimer: NodeJS.Timeout | undefined

  constructor(parts: ConnectionParts) {
    const { app, socket, connection, identity, isMessage } = parts
    this.#parts = parts
    this.#expiresAt = identity.expiresAt
    const subscriptions = this.#subscriptions
    this.#sender = new Sender({
      socket,
      connection,
      subscriptions,
      onTooSlow: () => this.#onTooSlow()
    })
    this.#handler = new MessageHandler({
      app,
      identity,
      connectionId: this.#id,
      isMessage,
      sender: this.#sender,
      subscriptions,
      source: this
    })
  }

  get state() {
    return this.#sender.state
  }

  get bufferedBytes() {
    return this.#parts.socket.bufferedAmount
  }

  // Must run in the same tick as the response 101, because the client may send messages at once.
  start() {
    const { app, socket, identity } = this.#parts
    const { userId, sessionId } = identity
    const { pubsub, endedSessions } = app
    socket.on('message', (data, isBinary) => this.#onMessage(data, isBinary))
    socket.on('close', () => this.#cleanUp())
    this.#unsubscribes = [`user:${userId}`, `session:${sessionId}`].map(topic =>
      pubsub.subscribe(topic, this)
    )
    // The session may have ended between the check of the token and this subscription.
    if (endedSessions.has(sessionId)) return this.#endSession()
    this.#startExpiry()
    this.#startPing()
    this.#sender.send({
      type: 'welcome',
      userId,
      sessionId,
      connectionId: this.#id,
      version: packageJson.version,
      epoch: pubsub.epoch,
      heartbeatMs: limits.pingMs,
      limits: {
        frameBytes: maximum.frameBytes,
        opsAPush: maximum.operationsPerPush,
        checklists: maximum.checklistsPerSocket
      }
    })
  }

  /** Returns the state of this socket for operators. */
  describe(): OpenSocket & { userId: string } {
    const { userId, sessionId } = this.#parts.identity
    const checklists = [...this.#subscriptions].map(([checklistId, { state, rev }]) => ({
      checklistId,
      state,
      rev
    }))
    const { state, bufferedBytes } = this
    return { userId, sessionId, openedAt: this.#openedAt, state, bufferedBytes, checklists }
  }

  /** Accepts no further messages, completes the message that is being handled, and closes the socket. */
  async drain() {
    this.#isOpen = false
    this.#queue.length = 0
    if (this.#handling) await withTimeout(this.#handling, shutdownLimits.pushMs).catch(() => {})
    this.#close(closeCode.serviceRestart, 'the service restarts: connect again')
  }

  /** Receives the end of the session, and changes of the memberships of the user. */
  receive(events: readonly LogEvent[]) {
    if (events.some(({ kind }) => kind === 'session.ended')) return this.#endSession()
    for (const subscription of this.#subscriptions.values()) {
      for (const event of events) subscription.onMembership(event)
    }
  }

  reset() {}

  onBadMessage() {
    if (++this.#badFrames >= limits.badFrames)
      this.#close(closeCode.tooManyBadFrames, 'too many bad frames')
  }

  // A socket that was opened with a cookie stays open as long as its session. A new access token does not change that.
  onNewExpiry(at: number) {
    if (this.#expiresAt !== null) this.#expiresAt = at
    this.#startExpiry()
  }

  // The client reconnects and resumes with its revisions. The log still contains the changes that it missed.
  onFailure(err: unknown) {
    const { app, socket } = this.#parts
    if (socket.readyState !== socket.OPEN) return
    app.log.warn({ err }, 'socket closed: catch-up failed')
    this.#close(closeCode.serviceRestart, 'connect again')
  }

  #close(code: number, reason: string) {
    const { socket } = this.#parts
    this.#cleanUp()
    socket.resume() // a paused socket does not read the client's close frame
    socket.close(code, reason)
  }

  #onMessage(data: RawData, isBinary: boolean) {
    const { app, socket, rate } = this.#parts
    if (!this.#isOpen) return
    if (isBinary) return this.#close(closeCode.unsupported, 'messages are JSON text')
    if (app.config.rateLimit && rate.take(this.#id, 1, 0) > 0)
      return this.#close(closeCode.tooManyFrames, 'too many messages')
    this.#queue.push(data.toString())
    if (this.#queue.length > limits.queue) socket.pause()
    this.#handling ??= this.#handleQueue().finally(() => {
      this.#handling = undefined
    })
  }

  async #handleQueue() {
    const queue = this.#queue
    for (let text = queue.shift(); text !== undefined; text = queue.shift()) {
      if (queue.length === 0) this.#parts.socket.resume()
      await this.#sender.drained
      if (!this.#isOpen) return
      await this.#handler.handle(text)
    }
  }

  #startExpiry() {
    clearTimeout(this.#expiryTimer)
    if (this.#expiresAt === null) return
    const expire = () => this.#close(closeCode.tokenExpired, 'the access token has expired')
    this.#expiryTimer = setTimeout(expire, this.#expiresAt - Date.now())
  }

  #startPing() {
    this.#pingTimer = setTimeout(() => this.#ping(), limits.pingMs)
  }

  #ping() {
    const { app, socket, identity } = this.#parts
    if (app.endedSessions.has(identity.sessionId)) return this.#endSession()
    // A lagging client may receive the ping too late. If it stays slow, the sender closes the socket with a reason.
    const onSilence = () => (this.state === 'lagging' ? this.#startPing() : socket.terminate())
    this.#pingTimer = setTimeout(onSilence, limits.pongMs)
    socket.ping()
    socket.once('pong', () => {
      clearTimeout(this.#pingTimer)
      if (socket.readyState === socket.OPEN) this.#startPing()
    })
  }

  #endSession() {
    this.#parts.app.metrics.sessionsEnded.inc()
    this.#close(closeCode.sessionEnded, 'the session has ended')
  }

  // The close frame follows the unsent messages. If it is not sent within another 30 s, ws ends the connection.
  #onTooSlow() {
    this.#parts.app.metrics.slowClients.inc({ kind: 'socket' })
    this.#close(closeCode.tooSlow, 'too slow: connect again and resume')
  }

  #cleanUp() {
    this.#isOpen = false
    this.#queue.length = 0
    clearTimeout(this.#expiryTimer)
    clearTimeout(this.#pingTimer)
    for (const unsubscribe of this.#unsubscribes) unsubscribe()
    for (const subscription of this.#subscriptions.values()) subscription.close()
    this.#parts.onClosed()
  }
}
