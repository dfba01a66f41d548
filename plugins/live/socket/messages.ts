import type { FastifyError, FastifyInstance } from 'fastify'
import { describeError } from '../../../lib/error-body.ts'
import type { LogEvent } from '../../../lib/event.ts'
import { refusalOf } from '../../../lib/postgres/errors.ts'
import { schemaErrorFormatter } from '../../../lib/validation.ts'
import { maximum } from '../../../schemas/limits.ts'
import type { ClientMessage } from '../../../schemas/live.ts'
import type { Identity } from '../../auth/authenticate.ts'
import type { PresenceConnection } from '../presence/room.ts'
import type { Sender } from './sender.ts'
import { createSubscription, type OpenRequest, type Subscription } from './subscription.ts'

export interface MessageHandlerParts {
  identity: Identity
  connectionId: string
  /** Returns whether a value is a `ClientMessage`. Stores the reasons in `errors` if not. */
  isMessage: { (value: unknown): boolean; errors?: unknown }
  sender: Sender
  /** The subscriptions of the socket, by checklist. */
  subscriptions: Map<string, Subscription>
  onBadMessage: () => void
  /** Called with the expiry of a new access token that the client sent, in milliseconds since 1970. */
  onNewExpiry: (expiresAt: number) => void
  /** Called when a subscription cannot query the database. */
  onFailure: (error: unknown) => void
}

export function createMessageHandler(
  app: Pick<FastifyInstance, 'operations' | 'presence' | 'verifyAccessToken' | 'log' | 'tracing'> &
    Parameters<typeof createSubscription>[0],
  parts: MessageHandlerParts
) {
  const { pubsub, operations, presence, log, tracing } = app
  const { identity, connectionId, isMessage, sender, subscriptions, onFailure } = parts
  const { send, isFull } = sender
  const { userId, sessionId, name } = identity
  /** The functions that end the presence of this socket on a checklist, by checklist. */
  const presences = new Map<string, () => void>()

  return {
    handle,

    onMemberships(events: readonly LogEvent[]) {
      for (const subscription of subscriptions.values()) events.forEach(subscription.onMembership)
    }
  }

  async function handle(text: string) {
    const message = parse(text)
    if (!message) return
    const checklistId = 'checklistId' in message ? message.checklistId.toLowerCase() : undefined
    try {
      const isTraced = message.type === 'open' || message.type === 'push'
      const run = () => dispatch(message, checklistId ?? '')
      await (isTraced && tracing ? tracing.run(`socket ${message.type}`, {}, run) : run())
    } catch (err) {
      const { body, retryAfter } = describeError(refusalOf(err as FastifyError))
      const { code, message } = body
      const retry = retryAfter && { retryAfterMs: retryAfter * 1000 }
      send({ type: 'error', checklistId, code, message, ...retry })
      if (code === 'INTERNAL') log.error({ err }, 'handling a message failed')
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

  async function dispatch(message: ClientMessage, checklistId: string) {
    switch (message.type) {
      case 'open':
        return open({ ...message, checklistId })
      case 'push':
        return push(message, checklistId)
      case 'presence':
        if (presences.has(checklistId)) presence.set(presenceConnection(checklistId), message.state)
        return
      case 'close':
        return subscriptions.get(checklistId)?.close()
      case 'auth':
        return extend(message.accessToken)
      case 'ping':
        return send({ type: 'pong', n: message.n })
    }
  }

  async function open(request: OpenRequest) {
    const { checklistId } = request
    subscriptions.get(checklistId)?.close()
    if (subscriptions.size >= maximum.checklistsPerSocket) {
      const message = `a socket can have at most ${maximum.checklistsPerSocket} checklists open: close one first`
      return send({ type: 'error', code: 'TOO_MANY_CHECKLISTS', message, checklistId })
    }
    const subscription = createSubscription(app, {
      userId,
      request,
      sender,
      onFailure,
      onClosed() {
        subscriptions.delete(checklistId)
        presences.get(checklistId)?.()
        presences.delete(checklistId)
      }
    })
    subscriptions.set(checklistId, subscription)
    try {
      await subscription.start()
      if (subscriptions.get(checklistId) === subscription)
        presences.set(checklistId, presence.join(presenceConnection(checklistId)))
    } catch (error) {
      subscription.close()
      throw error
    }
  }

  function presenceConnection(checklistId: string): PresenceConnection {
    return { checklistId, connectionId, userId, name, send, isFull }
  }

  async function push({ ops }: Extract<ClientMessage, { type: 'push' }>, checklistId: string) {
    const { pos, results } = await operations.submit({
      sessionId,
      actorId: userId,
      checklistId,
      source: 'ws',
      ops
    })
    // The author receives the change before the acknowledgement. When this node cannot deliver the change, the client
    // reconnects, sends the operation again and receives the stored result.
    if (!(await pubsub.delivered(pos))) return onFailure(new Error('the log cannot be read'))
    await sender.drained
    send({ type: 'ack', checklistId, results })
  }

  function extend(accessToken: string) {
    const token = app.verifyAccessToken(accessToken)
    if (token.id !== userId || token.sessionId !== sessionId) {
      const message = 'only an access token of the same session extends a socket'
      return send({ type: 'error', code: 'BAD_TOKEN', message })
    }
    parts.onNewExpiry(token.expiresAt)
    send({ type: 'auth', expiresAt: new Date(token.expiresAt).toISOString() })
  }
}
