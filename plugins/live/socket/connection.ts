import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { RawData, WebSocket } from 'ws'
import { createTokenBuckets } from '../../../lib/token-bucket.ts'
import { withTimeout } from '../../../lib/with-timeout.ts'
import packageJson from '../../../package.json' with { type: 'json' }
import type { OpenSocket } from '../../../schemas/connections.ts'
import { maximum } from '../../../schemas/limits.ts'
import type { Identity } from '../../auth/authenticate.ts'
import { shutdownLimits } from '../../http/shutdown.ts'
import { createMessageHandler, type MessageHandlerParts } from './messages.ts'
import { createSender } from './sender.ts'
import type { Subscription } from './subscription.ts'

const limits = {
  pingMs: 25_000,
  pongMs: 10_000,
  // Maximum number of messages that wait while one is handled. Then the socket is paused.
  queue: 32,
  badFrames: 20,
  // Messages per second, and in a burst. Only a client with an endless loop sends more.
  frames: { rate: 100, burst: 500 }
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
  identity: Identity
  /** The TCP connection below the socket. */
  connection: Socket
  isMessage: MessageHandlerParts['isMessage']
  onClosed: () => void
}

/** Runs one socket until it closes, or its session or access token ends. Handles one message at a time. */
export function createConnection(
  app: Pick<FastifyInstance, 'config' | 'endedSessions' | 'metrics' | 'log'> &
    Parameters<typeof createMessageHandler>[0],
  socket: WebSocket,
  { identity, connection, isMessage, onClosed }: ConnectionParts
) {
  const { config, pubsub, endedSessions, metrics, log } = app
  const { userId, sessionId } = identity
  const rate = createTokenBuckets(limits.frames)
  const connectionId = randomUUID()
  const openedAt = new Date()
  const subscriptions = new Map<string, Subscription>()
  const sender = createSender({ socket, connection, subscriptions, onTooSlow })
  const handler = createMessageHandler(app, {
    identity,
    connectionId,
    isMessage,
    sender,
    subscriptions,
    onBadMessage,
    onNewExpiry,
    onFailure
  })
  const queue: string[] = []
  const unsubscribes: (() => void)[] = []
  let { expiresAt } = identity
  let handling: Promise<void> | undefined
  let badFrames = 0
  let isOpen = true
  let expiryTimer: NodeJS.Timeout | undefined
  let pingTimer: NodeJS.Timeout | undefined

  return {
    start,
    drain,
    describe,
    get state() {
      return sender.state
    },
    get bufferedBytes() {
      return socket.bufferedAmount
    }
  }

  // Must run in the same tick as the response 101, because the client may send messages at once.
  function start() {
    socket.on('message', onMessage)
    socket.on('close', cleanUp)
    unsubscribes.push(
      pubsub.subscribe(`user:${userId}`, { receive: handler.onMemberships, reset() {} }),
      pubsub.subscribe(`session:${sessionId}`, { receive: endSession, reset() {} })
    )
    // The session may have ended between the check of the token and this subscription.
    if (endedSessions.has(sessionId)) return endSession()
    startExpiry()
    startPing()
    sender.send({
      type: 'welcome',
      userId,
      sessionId,
      connectionId,
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
  function describe(): OpenSocket & { userId: string } {
    const checklists = [...subscriptions].map(([checklistId, { state, rev }]) => ({
      checklistId,
      state,
      rev
    }))
    const { state } = sender
    const bufferedBytes = socket.bufferedAmount
    return { userId, sessionId, openedAt, state, bufferedBytes, checklists }
  }

  /** Accepts no further messages, completes the message that is being handled, and closes the socket. */
  async function drain() {
    isOpen = false
    queue.length = 0
    if (handling) await withTimeout(handling, shutdownLimits.pushMs).catch(() => {})
    close(closeCode.serviceRestart, 'the service restarts: connect again')
  }

  function close(code: number, reason: string) {
    cleanUp()
    socket.resume() // a paused socket does not read the client's close frame
    socket.close(code, reason)
  }

  function onMessage(data: RawData, isBinary: boolean) {
    if (!isOpen) return
    if (isBinary) return close(closeCode.unsupported, 'messages are JSON text')
    if (config.rateLimit && rate.take('', 1, 0) > 0)
      return close(closeCode.tooManyFrames, 'too many messages')
    queue.push(data.toString())
    if (queue.length > limits.queue) socket.pause()
    handling ??= handleQueue().finally(() => {
      handling = undefined
    })
  }

  async function handleQueue() {
    for (let text = queue.shift(); text !== undefined; text = queue.shift()) {
      if (queue.length === 0) socket.resume()
      await sender.drained
      if (!isOpen) return
      await handler.handle(text)
    }
  }

  function onBadMessage() {
    if (++badFrames >= limits.badFrames) close(closeCode.tooManyBadFrames, 'too many bad frames')
  }

  // A socket that was opened with a cookie stays open as long as its session. A new access token does not change that.
  function onNewExpiry(at: number) {
    if (expiresAt !== null) expiresAt = at
    startExpiry()
  }

  function startExpiry() {
    clearTimeout(expiryTimer)
    if (expiresAt === null) return
    const expire = () => close(closeCode.tokenExpired, 'the access token has expired')
    expiryTimer = setTimeout(expire, expiresAt - Date.now())
  }

  function startPing() {
    pingTimer = setTimeout(() => {
      if (endedSessions.has(sessionId)) return endSession()
      // A lagging client may receive the ping too late. If it stays slow, the sender closes the socket with a reason.
      const onSilence = () => (sender.state === 'lagging' ? startPing() : socket.terminate())
      pingTimer = setTimeout(onSilence, limits.pongMs)
      socket.ping()
      socket.once('pong', () => {
        clearTimeout(pingTimer)
        if (socket.readyState === socket.OPEN) startPing()
      })
    }, limits.pingMs)
  }

  function endSession() {
    metrics.sessionsEnded.inc()
    close(closeCode.sessionEnded, 'the session has ended')
  }

  // The close frame follows the unsent messages. If it is not sent within another 30 s, ws ends the connection.
  function onTooSlow() {
    metrics.slowClients.inc({ kind: 'socket' })
    close(closeCode.tooSlow, 'too slow: connect again and resume')
  }

  // The client reconnects and resumes with its revisions. The log still contains the changes that it missed.
  function onFailure(err: unknown) {
    if (socket.readyState !== socket.OPEN) return
    log.warn({ err }, 'socket closed: catch-up failed')
    close(closeCode.serviceRestart, 'connect again')
  }

  function cleanUp() {
    isOpen = false
    queue.length = 0
    clearTimeout(expiryTimer)
    clearTimeout(pingTimer)
    for (const unsubscribe of unsubscribes) unsubscribe()
    for (const subscription of subscriptions.values()) subscription.close()
    onClosed()
  }
}
