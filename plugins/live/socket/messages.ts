import type { FastifyError, FastifyInstance } from 'fastify'
import { schemaErrorFormatter } from '../../../lib/validation.ts'
import { maximum } from '../../../schemas/limits.ts'
import type { ClientMessage } from '../../../schemas/live.ts'
import type { LogEvent } from '../../../sql/log.ts'
import type { Identity } from '../../auth/authenticate.ts'
import { fromPostgres, retryAfterOf } from '../../http/errors.ts'
import type { Visitor } from '../presence/room.ts'
import { createSubscription, type Place, type Subscription } from './subscription.ts'

export type MessageHandler = ReturnType<typeof createMessageHandler>

export interface MessageHandlerParts {
  identity: Identity
  connectionId: string
  /** Checks a message against its schema, and keeps what is wrong with it. */
  isMessage: { (value: unknown): boolean; errors?: unknown }
  /** Sends a message, or bytes that are one already. */
  send: (message: object | Buffer) => void
  /** Whether the socket has so much unsent that more must not be sent. */
  isFull: () => boolean
  /** Resolves when the client has read what it was sent. */
  caughtUp: () => Promise<void> | undefined
  /** Called for every message that means nothing. */
  onBadMessage: () => void
  /** Called when a new token says how long the socket may live, milliseconds since 1970. */
  onProlonged: (expiresAt: number) => void
  /** Called when the database cannot be asked. */
  onFailure: (error: unknown) => void
}

/** What a client says on a socket and is answered, and the checklists that it follows. */
export function createMessageHandler(app: FastifyInstance, parts: MessageHandlerParts) {
  const { pubsub, operations, presence, log } = app
  const { identity, connectionId, isMessage, send, isFull, caughtUp } = parts
  const { userId, sessionId, name } = identity
  const following = new Map<string, Subscription>()
  /** ways out of the lists on which others see this socket */
  const visits = new Map<string, () => void>()

  return {
    answer,

    /** What the log says about the memberships of this person. */
    onMembership(event: LogEvent) {
      for (const list of following.values()) list.onMembership(event)
    },

    get isLagging() {
      return [...following.values()].some(({ isLagging }) => isLagging)
    },

    /** Nothing more of any list until `resume`. */
    lag() {
      for (const list of following.values()) list.lag()
    },

    /** Brings every list up to date, as far as the client reads. */
    async resume() {
      for (const list of [...following.values()]) {
        if (!isFull()) await list.resume()
      }
    },

    stop() {
      for (const list of following.values()) list.stop()
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
      if (isMessage(message)) return message as ClientMessage
      throw schemaErrorFormatter(isMessage.errors as never, 'message')
    } catch (error) {
      send({ type: 'error', code: 'BAD_MESSAGE', message: (error as Error).message })
      parts.onBadMessage()
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
    if (following.size >= maximum.checklistsPerSocket) {
      const message = `a socket follows ${maximum.checklistsPerSocket} checklists at most: close one first`
      return send({ type: 'error', code: 'TOO_MANY_CHECKLISTS', message, checklistId })
    }
    const list = createSubscription(app, {
      userId,
      place,
      send,
      isFull,
      onFailure: parts.onFailure,
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
    return { checklistId, connectionId, userId, name, hear: send, isFull }
  }

  async function push({ ops }: Extract<ClientMessage, { type: 'push' }>, checklistId: string) {
    const { pos, results } = await operations.submit({
      sessionId,
      actorId: userId,
      checklistId,
      source: 'ws',
      ops
    })
    // The author hears the change first, like everybody, and then that it was theirs. Who cannot hear it here
    // comes back, hears it from the log, and is answered as for every operation that is sent again.
    if (!(await pubsub.reached(pos))) return parts.onFailure(new Error('the log cannot be read'))
    await caughtUp()
    send({ type: 'ack', checklistId, results })
  }

  function prolong(token: string) {
    const { id, sessionId: of, expiresAt } = app.verifyAccessToken(token)
    if (id !== userId || of !== sessionId) {
      const message = 'a socket is prolonged by a token of its own session'
      return send({ type: 'error', code: 'BAD_TOKEN', message })
    }
    parts.onProlonged(expiresAt)
    send({ type: 'auth', expiresAt: new Date(expiresAt).toISOString() })
  }
}

function isOurs({ statusCode = 500 }: FastifyError): boolean {
  return statusCode >= 500 && statusCode !== 503
}

/** What a client may know of a failure: all of a refusal, nothing of a fault of ours. */
function told(error: FastifyError) {
  if (isOurs(error)) return { code: 'INTERNAL', message: 'something went wrong on our side' }
  const { code, message } = error
  const retryAfter = retryAfterOf(error)
  return { code, message, ...(retryAfter && { retryAfterMs: retryAfter * 1000 }) }
}
