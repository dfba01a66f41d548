import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { RawData, WebSocket } from 'ws'
import { createBatch } from '../../../lib/batch.ts'
import { createTokenBuckets } from '../../../lib/token-bucket.ts'
import { withTimeout } from '../../../lib/with-timeout.ts'
import { maximum } from '../../../schemas/limits.ts'
import type { ServerMessage } from '../../../schemas/live.ts'
import type { Identity } from '../../auth/authenticate.ts'
import { createMessageHandler, type MessageHandlerParts } from './messages.ts'

/** The numbers of one socket. */
const limits = {
  pingMs: 25_000,
  pongMs: 10_000,
  // More than this unsent and the client is slow; longer than this it comes back and resumes instead.
  maxBufferedBytes: 64 << 10,
  behindMs: 30_000,
  // Messages that wait for their turn; more are left in the socket.
  queue: 32,
  badFrames: 20,
  // Messages a second, and at once, of a client that is no loop.
  frames: { rate: 100, burst: 500 },
  // What was begun has this long to be finished when the service closes.
  finishMs: 5000
}

/** RFC 6455 and, from 4000 on, ours. */
const closeCode = {
  unsupported: 1003,
  tooManyBadFrames: 4400,
  tokenExpired: 4401,
  sessionEnded: 4403,
  tooSlow: 4408,
  tooManyFrames: 4429,
  // RFC 6455, registry of close codes
  serviceRestart: 1012
}

export interface ConnectionParts {
  identity: Identity
  /** What the frames of the socket are written to. */
  wire: Socket
  isMessage: MessageHandlerParts['isMessage']
  onGone: () => void
}

/** The life of one socket: messages are answered strictly in order, changes come whenever they are committed. */
export function createConnection(app: FastifyInstance, socket: WebSocket, parts: ConnectionParts) {
  const { pubsub, endedSessions, metrics, log } = app
  const { userId, sessionId } = parts.identity
  const batch = createBatch(parts.wire)
  const frames = createTokenBuckets(limits.frames)
  const connectionId = randomUUID()
  const conversation = createMessageHandler(app, {
    identity: parts.identity,
    connectionId,
    isMessage: parts.isMessage,
    send,
    isFull,
    caughtUp: () => lagging,
    onBadMessage,
    onProlonged,
    onFailure: comeBack
  })
  const queue: string[] = []
  const stops: (() => void)[] = []
  let { expiresAt } = parts.identity
  let working: Promise<void> | undefined
  let lagging: Promise<void> | undefined
  let badFrames = 0
  let isOpen = true
  let stopExpiry = () => {}
  let pingTimer: NodeJS.Timeout | undefined

  return {
    start,
    drain,
    get state() {
      return lagging ? 'lagging' : 'live'
    },
    get bufferedBytes() {
      return socket.bufferedAmount
    }
  }

  // Synchronously after the 101: a client may speak at once.
  function start() {
    socket.on('message', onMessage)
    socket.on('close', leave)
    stops.push(
      pubsub.subscribe(`user:${userId}`, { receive: conversation.onMembership, reset() {} }),
      pubsub.subscribe(`session:${sessionId}`, { receive: endSession, reset() {} })
    )
    // Ended between the check of the token and the line above: nobody will tell again.
    if (endedSessions.has(sessionId)) return endSession()
    expire()
    ping()
    send({
      type: 'welcome',
      userId,
      sessionId,
      connectionId,
      epoch: pubsub.epoch,
      heartbeatMs: limits.pingMs,
      limits: {
        frameBytes: maximum.frameBytes,
        opsAPush: maximum.operationsPerPush,
        checklists: maximum.checklistsPerSocket
      }
    })
  }

  /** For a restart: takes nothing new, finishes and acknowledges what was begun, then closes. */
  async function drain() {
    isOpen = false
    queue.length = 0
    if (working) await withTimeout(working, limits.finishMs).catch(() => {})
    close(closeCode.serviceRestart, 'the service restarts: connect again')
  }

  /** At once: nothing more is sent but the reason. */
  function close(code: number, reason: string) {
    leave()
    socket.resume() // else the answer of the client would not be read
    socket.close(code, reason)
  }

  function onMessage(data: RawData, isBinary: boolean) {
    if (!isOpen) return
    if (isBinary) return close(closeCode.unsupported, 'messages are JSON text')
    if (frames.take('', 1, 0) > 0) return close(closeCode.tooManyFrames, 'too many messages')
    queue.push(data.toString())
    if (queue.length > limits.queue) socket.pause()
    working ??= work().finally(() => {
      working = undefined
    })
  }

  async function work() {
    for (let text = queue.shift(); text !== undefined; text = queue.shift()) {
      if (queue.length === 0) socket.resume()
      // Stop answering a client until its socket has drained.
      await lagging
      // The session may have ended meanwhile, or the client may have left.
      if (!isOpen) return
      await conversation.answer(text)
    }
  }

  function onBadMessage() {
    if (++badFrames >= limits.badFrames) close(closeCode.tooManyBadFrames, 'too many bad frames')
  }

  // A socket of a cookie lives as long as its session, whatever its tokens say.
  function onProlonged(until: number) {
    if (expiresAt !== null) expiresAt = until
    expire()
  }

  function expire() {
    stopExpiry()
    if (expiresAt === null) return
    const timer = setTimeout(() => {
      close(closeCode.tokenExpired, 'the access token has expired')
    }, expiresAt - Date.now())
    stopExpiry = () => clearTimeout(timer)
  }

  function ping() {
    pingTimer = setTimeout(() => {
      if (endedSessions.has(sessionId)) return endSession()
      // A client that lags reads no ping either: isDrained closes its socket, with a reason.
      pingTimer = setTimeout(() => (lagging ? ping() : socket.terminate()), limits.pongMs)
      socket.ping()
      socket.once('pong', () => {
        clearTimeout(pingTimer)
        if (socket.readyState === socket.OPEN) ping()
      })
    }, limits.pingMs)
  }

  function endSession() {
    metrics.sessionsEnded.inc()
    close(closeCode.sessionEnded, 'the session has ended')
  }

  /** What one tick owes the client leaves in one system call. */
  function send(message: ServerMessage | object | Buffer) {
    if (socket.readyState !== socket.OPEN) return
    batch.begin()
    socket.send(Buffer.isBuffer(message) ? message : JSON.stringify(message), { binary: false })
    if (isFull()) {
      lagging ??= wait().finally(() => {
        lagging = undefined
      })
    }
  }

  function isFull(): boolean {
    // What this tick has written was not offered to the client yet.
    if (socket.bufferedAmount > limits.maxBufferedBytes) batch.flush()
    return socket.bufferedAmount > limits.maxBufferedBytes
  }

  /** Stops following until the socket has sent what it has, and brings every list up to date. */
  async function wait() {
    while (isFull() || conversation.isLagging) {
      conversation.lag()
      if (!(await isDrained())) return
      await conversation.resume()
    }
  }

  /** Resolves when everything has been written; closes the socket when that takes too long. */
  async function isDrained(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const timer = setTimeout(() => resolve(false), limits.behindMs)
    // Frames leave in order: this one is written when all before it are, or the socket is gone.
    socket.ping('', false, () => resolve(true))
    const hasDrained = await promise
    clearTimeout(timer)
    if (!hasDrained) {
      metrics.slowClients.inc({ kind: 'socket' })
      // This waits behind what it has not read, for half a minute more: then ws ends the connection.
      close(closeCode.tooSlow, 'too slow: connect again and resume')
    }
    return hasDrained && socket.readyState === socket.OPEN
  }

  // The client resumes where it is, and the log has kept everything.
  function comeBack(err: unknown) {
    if (socket.readyState !== socket.OPEN) return
    log.warn({ err }, 'a socket closes before its time')
    close(closeCode.serviceRestart, 'connect again')
  }

  function leave() {
    isOpen = false
    queue.length = 0
    clearTimeout(pingTimer)
    for (const stop of [stopExpiry, ...stops]) stop()
    conversation.stop()
    parts.onGone()
  }
}
