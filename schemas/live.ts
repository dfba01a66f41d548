import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { Change } from './change.ts'
import { Checklist } from './checklist.ts'
import { ErrorCode } from './error.ts'
import { maximum } from './limits.ts'
import { Operation, Result } from './operation.ts'
import { Peer, PresenceState } from './presence.ts'
import { Role } from './project.ts'
import { Id, Nullable, OneOf, wellFormed } from './scalars.ts'

const ChecklistId = Id('the checklist')
const Rev = (description: string) =>
  Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description, examples: [17] })

const message = <Kind extends string, Fields extends Record<string, TSchema>>(
  type: Kind,
  description: string,
  fields: Fields
) =>
  Type.Object(
    { type: Type.Literal(type), ...fields },
    { additionalProperties: false, title: type, description }
  )

const fromClient = [
  message('open', 'Follow a checklist: a snapshot, or with `since` what changed', {
    checklistId: ChecklistId,
    since: Type.Optional(Rev('revision that the client has')),
    epoch: Type.Optional(
      Type.String({
        ...wellFormed,
        maxLength: 64,
        description: 'the epoch that `since` belongs to'
      })
    )
  }),
  message('push', `Do 1–${maximum.operationsPerPush} operations in order`, {
    checklistId: ChecklistId,
    ops: Type.Array(Operation, {
      minItems: 1,
      maxItems: maximum.operationsPerPush,
      description: 'done in this order'
    })
  }),
  message('presence', 'Show other sockets where you are; null shows you no more', {
    checklistId: ChecklistId,
    state: Nullable(PresenceState)
  }),
  message('close', 'Follow a checklist no longer', { checklistId: ChecklistId }),
  message('auth', 'Prolong a socket that was opened with an access token', {
    accessToken: Type.String({
      ...wellFormed,
      minLength: 1,
      maxLength: 4096,
      description: 'of the same user and session'
    })
  }),
  message('ping', 'Ask for a pong', {
    n: Type.Optional(Type.Number({ description: 'comes back' }))
  })
] as const

/** What a client may send on `GET /live`. */
export const ClientMessage = Type.Unsafe<Static<(typeof fromClient)[number]>>({
  type: 'object',
  title: 'ClientMessage',
  description: 'What a client may send on GET /live',
  discriminator: { propertyName: 'type' },
  required: ['type'],
  oneOf: fromClient
})
export type ClientMessage = Static<(typeof fromClient)[number]>

const fromServer = [
  message('welcome', 'The first message', {
    userId: Id('who the socket belongs to'),
    sessionId: Id('the session that opened it'),
    connectionId: Id('this socket, as others see it in `presence`'),
    epoch: Type.String({ description: 'which life of the database revisions belong to' }),
    heartbeatMs: Type.Integer({
      description: 'a ping of the protocol comes at least this often, milliseconds'
    }),
    limits: Type.Object(
      {
        frameBytes: Type.Integer({ description: 'of one message' }),
        opsAPush: Type.Integer({ description: 'operations in one push' }),
        checklists: Type.Integer({ description: 'open on one socket' })
      },
      { additionalProperties: false, description: 'what the service takes' }
    )
  }),
  message('snapshot', 'A whole checklist', { checklist: Checklist }),
  message('changes', 'Changes in order; `from` is always the last `to` + 1', {
    checklistId: ChecklistId,
    from: Rev('first revision'),
    to: Rev('last revision'),
    head: Rev('newest revision known'),
    changes: Type.Array(Change, { description: 'in order' })
  }),
  message('reset', 'What the client has cannot be continued: a snapshot follows', {
    checklistId: ChecklistId,
    reason: OneOf(['compacted', 'restored'], { description: 'why' })
  }),
  message('ack', 'What became of a push; after its commit and its changes', {
    checklistId: ChecklistId,
    results: Type.Array(Result, { description: 'one per operation, in order' })
  }),
  message(
    'presence',
    'Other sockets on the list, at most five times a second. The first message after `open` holds all peers ' +
      'that are shown, later ones those that joined, changed or left. At most 100 peers are shown, those that ' +
      'joined first, and fewer when their JSON exceeds 64 KiB; when one leaves, the next is shown. A client ' +
      'keeps peers by `connectionId`, removes those whose `state` is null, and forgets all of them when it ' +
      'sends `open`',
    {
      checklistId: ChecklistId,
      peers: Type.Array(Peer, {
        maxItems: 2 * maximum.shownPeers,
        description: 'what changed: at most 100 peers that are shown and 100 that are shown no more'
      }),
      others: Type.Optional(
        Type.Integer({
          minimum: 1,
          description:
            'how many sockets are on the list besides this one and the shown peers; absent when there are ' +
            'none. A message that changes nothing but this number comes at most once a second'
        })
      )
    }
  ),
  message('revoked', 'What the person may do with the list has changed', {
    checklistId: ChecklistId,
    reason: OneOf(['removed', 'role_changed', 'deleted'], { description: 'why' }),
    role: Type.Optional(Role)
  }),
  message('auth', 'The socket was prolonged', {
    expiresAt: Type.String({
      format: 'date-time',
      description: 'when it closes unless prolonged again'
    })
  }),
  message('pong', 'Answer to a ping', {
    n: Type.Optional(Type.Number({ description: 'as it came' }))
  }),
  message('error', 'A message was refused; the socket stays', {
    code: ErrorCode,
    message: Type.String({ description: 'what went wrong, for people' }),
    checklistId: Type.Optional(ChecklistId),
    retryAfterMs: Type.Optional(Type.Integer({ description: 'when to try again' }))
  })
] as const

/** What the service sends on `GET /live`. */
export const ServerMessage = Type.Unsafe<Static<(typeof fromServer)[number]>>({
  type: 'object',
  title: 'ServerMessage',
  description: 'What the service sends on GET /live',
  discriminator: { propertyName: 'type' },
  required: ['type'],
  oneOf: fromServer
})
export type ServerMessage = Static<(typeof fromServer)[number]>
