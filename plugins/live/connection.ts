import { randomUUID } from 'node:crypto'
import type { FastifyError, FastifyInstance } from 'fastify'
import type { RawData, WebSocket } from 'ws'
import { createBuckets } from '../../lib/bucket.ts'
import { inTime } from '../../lib/in-time.ts'
import { assertWellFormed } from '../../lib/json.ts'
import { schemaErrorFormatter } from '../../lib/validation.ts'
import type { ClientMessage, ServerMessage } from '../../schemas/live.ts'
import type { Identity } from '../auth.ts'
import { fromPostgres } from '../errors.ts'
import type { Visitor } from '../presence.ts'
import { createFollowing, type Following, type Place } from './following.ts'

/** The numbers of one socket. */
export const limits = {
  frameBytes: 256 << 10,
  opsAPush: 100,
  checklists: 100,
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
  isMessage: { (value: unknown): boolean; errors?: unknown }
  onGone: () => void
}

/** One socket: messages are answered strictly in order, changes come whenever they are committed. */
export function createConnection(app: FastifyInstance, socket: WebSocket, parts: ConnectionParts) {
  const { pubsub, wheel, sessions, operations, presence, metrics, log } = app
  const { userId, sessionId, name } = parts.identity
  const frames = createBuckets(limits.frames)
  const connectionId = randomUUID()
  const following = new Map<string, Following>()
  /** ways out of the lists on which others see this socket */
  const visits = new Map<string, () => void>()
  const queue: string[] = []
  const stops: (() => void)[] = []
  let { expiresAt } = parts.identity
  let working: Promise<void> | undefined
  let lagging: Promise<void> | undefined
  let badFrames = 0
  let isOpen = true
  let stopExpiry = () => {}
  let stopPing = () => {}

  return {
    start,
    drain,
    terminate: () => socket.terminate(),
    get bufferedBytes() {
      return socket.bufferedAmount
    }
  }

  // Synchronously after the 101: a client may speak at once.
  function start() {
    socket.on('message', onMessage)
    socket.on('close', leave)
    stops.push(
      pubsub.subscribe(`user:${userId}`, { receive: onMembership, reset() {} }),
      pubsub.subscribe(`session:${sessionId}`, { receive: endSession, reset() {} })
    )
    // Ended between the check of the token and the line above: nobody will tell again.
    if (sessions.isEnded(sessionId)) return endSession()
    expire()
    ping()
    const { frameBytes, opsAPush, checklists } = limits
    send({
      type: 'welcome',
      userId,
      sessionId,
      connectionId,
      epoch: pubsub.epoch,
      heartbeatMs: limits.pingMs,
      limits: { frameBytes, opsAPush, checklists }
    })
  }

  /** For a restart: takes nothing new, finishes and acknowledges what was begun, then closes. */
  async function drain() {
    isOpen = false
    queue.length = 0
    if (working) await inTime(working, limits.finishMs).catch(() => {})
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
      // Who does not read what was answered is not answered more.
      await lagging
      await answer(text)
    }
  }

  async function answer(text: string) {
    const message = parse(text)
    if (!message) return
    const checklistId = 'checklistId' in message ? message.checklistId.toLowerCase() : undefined
    try {
      await handle(message, checklistId ?? '')
    } catch (err) {
      const error = fromPostgres(err as FastifyError)
      send({ type: 'error', checklistId, ...told(error) })
      if (isOurs(error)) log.error({ err }, 'a message failed')
    }
  }

  function parse(text: string): ClientMessage | undefined {
    try {
      const message: unknown = JSON.parse(text)
      assertWellFormed(message)
      if (parts.isMessage(message)) return message as ClientMessage
      throw schemaErrorFormatter(parts.isMessage.errors as never, 'message')
    } catch (error) {
      send({ type: 'error', code: 'BAD_MESSAGE', message: (error as Error).message })
      if (++badFrames >= limits.badFrames) close(closeCode.tooManyBadFrames, 'too many bad frames')
    }
  }

  async function handle(message: ClientMessage, checklistId: string) {
    switch (message.type) {
      case 'open':
        return openList({ ...message, checklistId })
      case 'push':
        return push(message, checklistId)
      case 'presence':
        if (visits.has(checklistId)) presence.set(visitor(checklistId), message.state)
        return
      case 'close':
        return following.get(checklistId)?.stop()
      case 'auth':
        return prolong(message.accessToken)
      case 'ping':
        return send({ type: 'pong', n: message.n })
    }
  }

  async function openList(place: Place) {
    const { checklistId } = place
    following.get(checklistId)?.stop()
    if (following.size >= limits.checklists) {
      const message = `a socket follows ${limits.checklists} checklists at most: close one first`
      return send({ type: 'error', code: 'TOO_MANY_CHECKLISTS', message, checklistId })
    }
    const list = createFollowing(app, {
      userId,
      place,
      send,
      isFull,
      onFailure: comeBack,
      onGone: () => part(checklistId)
    })
    following.set(checklistId, list)
    try {
      await list.start()
      if (following.get(checklistId) === list)
        visits.set(checklistId, presence.join(visitor(checklistId)))
    } catch (error) {
      list.stop()
      throw error
    }
  }

  function part(checklistId: string) {
    following.delete(checklistId)
    visits.get(checklistId)?.()
    visits.delete(checklistId)
  }

  function visitor(checklistId: string): Visitor {
    return { checklistId, connectionId, userId, name, hear: send }
  }

  async function push({ ops }: Extract<ClientMessage, { type: 'push' }>, checklistId: string) {
    const { pos, results } = await operations.submit({
      clientId: sessionId,
      actorId: userId,
      checklistId,
      source: 'ws',
      ops
    })
    // The author hears the change first, like everybody, and then that it was theirs.
    await pubsub.reached(pos)
    await lagging
    send({ type: 'ack', checklistId, results })
  }

  function prolong(token: string) {
    const { id, sessionId: of, expiresAt: until } = app.verifyAccessToken(token)
    if (id !== userId || of !== sessionId) {
      const message = 'a socket is prolonged by a token of its own session'
      return send({ type: 'error', code: 'BAD_TOKEN', message })
    }
    if (expiresAt !== null) expiresAt = until
    expire()
    send({ type: 'auth', expiresAt: new Date(until).toISOString() })
  }

  function expire() {
    stopExpiry()
    if (expiresAt === null) return
    stopExpiry = wheel.after(expiresAt - Date.now(), () => {
      close(closeCode.tokenExpired, 'the access token has expired')
    })
  }

  function ping() {
    stopPing = wheel.after(limits.pingMs, () => {
      stopPing = wheel.after(limits.pongMs, () => socket.terminate())
      socket.ping()
      socket.once('pong', () => {
        stopPing()
        if (socket.readyState === socket.OPEN) ping()
      })
    })
  }

  function onMembership(event: Parameters<Following['onMembership']>[0]) {
    for (const list of following.values()) list.onMembership(event)
  }

  function endSession() {
    metrics.sessions.inc()
    close(closeCode.sessionEnded, 'the session has ended')
  }

  function send(message: ServerMessage | object | Buffer) {
    if (socket.readyState !== socket.OPEN) return
    socket.send(Buffer.isBuffer(message) ? message : JSON.stringify(message), { binary: false })
    if (isFull()) {
      lagging ??= wait().finally(() => {
        lagging = undefined
      })
    }
  }

  function isFull(): boolean {
    return socket.bufferedAmount > limits.maxBufferedBytes
  }

  /** Stops following until the socket has sent what it has, and brings every list up to date. */
  async function wait() {
    const isBehind = () => isFull() || [...following.values()].some(({ isLagging }) => isLagging)
    while (isBehind()) {
      for (const list of following.values()) list.lag()
      if (!(await isDrained())) return
      for (const list of [...following.values()]) {
        if (!isFull()) await list.resume()
      }
    }
  }

  /** Resolves when everything has been written; closes the socket when that takes too long. */
  async function isDrained(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const stop = wheel.after(limits.behindMs, () => resolve(false))
    // Frames leave in order: this one is written when all before it are, or the socket is gone.
    socket.ping('', false, () => resolve(true))
    const hasDrained = await promise
    stop()
    if (!hasDrained) {
      metrics.slow.inc({ kind: 'socket' })
      close(closeCode.tooSlow, 'too slow: connect again and resume')
      // Its close frame waits behind what it does not read.
      socket.terminate()
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
    for (const stop of [stopExpiry, stopPing, ...stops]) stop()
    for (const list of following.values()) list.stop()
    parts.onGone()
  }
}

function isOurs({ statusCode = 500 }: FastifyError): boolean {
  return statusCode >= 500 && statusCode !== 503
}

/** What a client may know of a failure: all of a refusal, nothing of a fault of ours. */
function told(error: FastifyError & { retryAfter?: number }) {
  if (isOurs(error)) return { code: 'INTERNAL', message: 'something went wrong on our side' }
  const { code, message, retryAfter } = error
  return { code, message, ...(retryAfter && { retryAfterMs: retryAfter * 1000 }) }
}
