import type { FastifyError, FastifyInstance } from 'fastify'
import { describeError } from '../../../lib/error-body.ts'
import { refusalOf } from '../../../lib/postgres/errors.ts'
import { schemaErrorFormatter } from '../../../lib/validation.ts'
import { maximum } from '../../../schemas/limits.ts'
import type { ClientMessage } from '../../../schemas/live.ts'
import type { Identity } from '../../auth/authenticate.ts'
import type { PresenceConnection } from '../presence/room.ts'
import type { Sender } from './sender.ts'
import { type OpenRequest, Subscription, type SubscriptionParts } from './subscription.ts'

/** The connection whose messages are handled. */
export interface MessageSource {
  onBadMessage(): void
  /** Called with the expiry of a new access token that the client sent, in milliseconds since 1970. */
  onNewExpiry(expiresAt: number): void
  /** Called when a subscription cannot query the database. */
  onFailure(error: unknown): void
}

export interface MessageHandlerParts {
  app: SubscriptionParts['app'] &
    Pick<FastifyInstance, 'operations' | 'presence' | 'verifyAccessToken' | 'log' | 'tracing'>
  identity: Identity
  connectionId: string
  /** Returns whether a value is a `ClientMessage`. Stores the reasons in `errors` if not. */
  isMessage: { (value: unknown): boolean; errors?: unknown }
  sender: Sender
  /** The subscriptions of the socket, by checklist. */
  subscriptions: Map<string, Subscription>
  source: MessageSource
}

export class MessageHandler {
  readonly #parts: MessageHandlerParts
  /** The functions that end the presence of this socket on a checklist, by checklist. */
  readonly #presences = new Map<string, () => void>()

  constructor(parts: MessageHandlerParts) {
    this.#parts = parts
  }

  async handle(text: string) {
    const { app, sender } = this.#parts
    const message = this.#parse(text)
    if (!message) return
    const checklistId = 'checklistId' in message ? message.checklistId.toLowerCase() : undefined
    try {
      const isTraced = message.type === 'open' || message.type === 'push'
      const run = () => this.#dispatch(message, checklistId ?? '')
      await (isTraced && app.tracing ? app.tracing.run(`socket ${message.type}`, {}, run) : run())
    } catch (err) {
      const { body, retryAfter } = describeError(refusalOf(err as FastifyError))
      const { code, message } = body
      const retry = retryAfter && { retryAfterMs: retryAfter * 1000 }
      sender.send({ type: 'error', checklistId, code, message, ...retry })
      if (code === 'INTERNAL') app.log.error({ err }, 'handling a message failed')
    }
  }

  #parse(text: string): ClientMessage | undefined {
    const { isMessage, sender, source } = this.#parts
    try {
      const message: unknown = JSON.parse(text)
      if (isMessage(message)) return message as ClientMessage
      throw schemaErrorFormatter(isMessage.errors as never, 'message')
    } catch (error) {
      sender.send({ type: 'error', code: 'BAD_MESSAGE', message: (error as Error).message })
      source.onBadMessage()
    }
  }

  async #dispatch(message: ClientMessage, checklistId: string) {
    const { app, sender, subscriptions } = this.#parts
    switch (message.type) {
      case 'open':
        return this.#open({ ...message, checklistId })
      case 'push':
        return this.#push(message, checklistId)
      case 'presence':
        if (this.#presences.has(checklistId))
          app.presence.set(this.#presenceConnection(checklistId), message.state)
        return
      case 'close':
        return subscriptions.get(checklistId)?.close()
      case 'auth':
        return this.#extend(message.accessToken)
      case 'ping':
        return sender.send({ type: 'pong', n: message.n })
    }
  }

  async #open(request: OpenRequest) {
    const { app, identity, sender, subscriptions, source } = this.#parts
    const { checklistId } = request
    subscriptions.get(checklistId)?.close()
    if (subscriptions.size >= maximum.checklistsPerSocket) {
      const message = `a socket can have at most ${maximum.checklistsPerSocket} checklists open: close one first`
      return sender.send({ type: 'error', code: 'TOO_MANY_CHECKLISTS', message, checklistId })
    }
    const subscription = new Subscription({
      app,
      userId: identity.userId,
      request,
      sender,
      onFailure: error => source.onFailure(error),
      onClosed: () => {
        subscriptions.delete(checklistId)
        this.#presences.get(checklistId)?.()
        this.#presences.delete(checklistId)
      }
    })
    subscriptions.set(checklistId, subscription)
    try {
      await subscription.start()
      if (subscriptions.get(checklistId) !== subscription) return
      const leave = app.presence.join(this.#presenceConnection(checklistId))
      this.#presences.set(checklistId, leave)
    } catch (error) {
      subscription.close()
      throw error
    }
  }

  #presenceConnection(checklistId: string): PresenceConnection {
    const { connectionId, identity, sender } = this.#parts
    const { userId, name } = identity
    return { checklistId, connectionId, userId, name, sender }
  }

  async #push({ ops }: Extract<ClientMessage, { type: 'push' }>, checklistId: string) {
    const { app, identity, sender, source } = this.#parts
    const { pos, results } = await app.operations.submit({
      sessionId: identity.sessionId,
      actorId: identity.userId,
      checklistId,
      source: 'ws',
      ops
    })
    // The author receives the change before the acknowledgement. When this node cannot deliver the change, the client
    // reconnects, sends the operation again and receives the stored result.
    if (!(await app.pubsub.delivered(pos)))
      return source.onFailure(new Error('the log cannot be read'))
    await sender.drained
    sender.send({ type: 'ack', checklistId, results })
  }

  #extend(accessToken: string) {
    const { app, identity, sender, source } = this.#parts
    const token = app.verifyAccessToken(accessToken)
    if (token.id !== identity.userId || token.sessionId !== identity.sessionId) {
      const message = 'only an access token of the same session extends a socket'
      return sender.send({ type: 'error', code: 'BAD_TOKEN', message })
    }
    source.onNewExpiry(token.expiresAt)
    sender.send({ type: 'auth', expiresAt: new Date(token.expiresAt).toISOString() })
  }
}
