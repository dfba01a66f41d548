import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { Change } from './change.ts'
import { Checklist } from './checklist.ts'
import { ErrorCode } from './error.ts'
import { maximum } from './limits.ts'
import { Operation, Result } from './operation.ts'
import { Peer, PresenceState } from './presence.ts'
import { Role } from './project.ts'
import { Id, Nullable, OneOf, wellFormed } from './scalars.ts'

const ChecklistId = Id('id of the checklist')
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
  message(
    'open',
    'Subscribe to a checklist: the service sends a snapshot, or with `since` the changes after it',
    {
      checklistId: ChecklistId,
      since: Type.Optional(Rev('newest revision that the client has')),
      epoch: Type.Optional(
        Type.String({
          ...wellFormed,
          maxLength: 64,
          description: 'epoch of `since`, from the snapshot'
        })
      )
    }
  ),
  message('push', `Apply 1–${maximum.operationsPerPush} operations in order`, {
    checklistId: ChecklistId,
    ops: Type.Array(Operation, {
      minItems: 1,
      maxItems: maximum.operationsPerPush,
      description: 'the operations, applied in this order'
    })
  }),
  message('presence', 'Show other users what you are editing, or with null stop showing it', {
    checklistId: ChecklistId,
    state: Nullable(PresenceState)
  }),
  message('close', 'Unsubscribe from a checklist', { checklistId: ChecklistId }),
  message('auth', 'Extend the life of a socket that was opened with an access token', {
    accessToken: Type.String({
      ...wellFormed,
      minLength: 1,
      maxLength: 4096,
      description: 'a new access token of the same user and session'
    })
  }),
  message('ping', 'Request a `pong`', {
    n: Type.Optional(Type.Number({ description: 'a number that the pong repeats' }))
  })
] as const

/** A message from a client on `GET /live`. */
export const ClientMessage = Type.Unsafe<Static<(typeof fromClient)[number]>>({
  type: 'object',
  title: 'ClientMessage',
  description: 'A message from the client',
  discriminator: { propertyName: 'type' },
  required: ['type'],
  oneOf: fromClient
})
export type ClientMessage = Static<(typeof fromClient)[number]>

const fromServer = [
  message('welcome', 'The first message on every socket', {
    userId: Id('id of the user'),
    sessionId: Id('id of the session that opened the socket'),
    connectionId: Id('id of this socket in `presence`'),
    version: Type.String({ description: 'version of the service', examples: ['0.1.0'] }),
    epoch: Type.String({ description: 'id of the database that revisions belong to' }),
    heartbeatMs: Type.Integer({
      description: 'longest time between two WebSocket pings of the service, in milliseconds'
    }),
    limits: Type.Object(
      {
        frameBytes: Type.Integer({ description: 'maximum size of a message, in bytes' }),
        opsAPush: Type.Integer({ description: 'maximum number of operations in a push' }),
        checklists: Type.Integer({
          description: 'maximum number of checklists that are open on a socket'
        })
      },
      { additionalProperties: false, description: 'limits of a socket' }
    )
  }),
  message('snapshot', 'A whole checklist, the response to `open`', { checklist: Checklist }),
  message('changes', 'Changes of a checklist; `from` is always the previous `to` + 1', {
    checklistId: ChecklistId,
    from: Rev('revision of the first change'),
    to: Rev('revision of the last change'),
    head: Rev('newest revision of the checklist'),
    changes: Type.Array(Change, { description: 'in order of `rev`' })
  }),
  message('reset', 'The service cannot send the changes after `since`: a snapshot follows', {
    checklistId: ChecklistId,
    reason: OneOf(['compacted', 'restored'], { description: 'reason' })
  }),
  message('ack', 'The results of a push; sent after the commit and after its changes', {
    checklistId: ChecklistId,
    results: Type.Array(Result, { description: 'one result per operation, in order' })
  }),
  message(
    'presence',
    'The other sockets that have the checklist open, at most five messages a second. The first message after ' +
      '`open` contains all peers that are shown, later ones those that joined, changed or left. ' +
      `At most ${maximum.shownPeers} peers are shown, those that joined first, and fewer when their JSON exceeds ` +
      `${maximum.shownPeersJson / 1024} KiB; when one of them leaves, the next one is shown. A client stores peers ` +
      'by `connectionId`, removes those whose `state` is null, and removes all of them when it sends `open`',
    {
      checklistId: ChecklistId,
      peers: Type.Array(Peer, {
        maxItems: 2 * maximum.shownPeers,
        description: `the peers that changed: at most ${maximum.shownPeers} that are shown and as many that are not shown any more`
      }),
      others: Type.Optional(
        Type.Integer({
          minimum: 1,
          description:
            'number of sockets that have the checklist open, without this one and the shown peers; absent when there ' +
            'are none. When only this number changes, a message is sent at most once a second'
        })
      )
    }
  ),
  message('revoked', 'The rights of the user on the checklist have changed', {
    checklistId: ChecklistId,
    reason: OneOf(['removed', 'role_changed', 'deleted'], { description: 'reason' }),
    role: Type.Optional(Role)
  }),
  message('auth', 'The life of the socket was extended', {
    expiresAt: Type.String({
      format: 'date-time',
      description: 'time at which the socket closes, unless it is extended again'
    })
  }),
  message('pong', 'The response to `ping`', {
    n: Type.Optional(Type.Number({ description: '`n` of the ping' }))
  }),
  message('error', 'A message was refused; the socket stays open', {
    code: ErrorCode,
    message: Type.String({ description: 'what went wrong, for developers; may change' }),
    checklistId: Type.Optional(ChecklistId),
    retryAfterMs: Type.Optional(
      Type.Integer({ description: 'time to wait before the next try, in milliseconds' })
    )
  })
] as const

/** A message from the service on `GET /live`. */
export const ServerMessage = Type.Unsafe<Static<(typeof fromServer)[number]>>({
  type: 'object',
  title: 'ServerMessage',
  description: 'A message from the service',
  discriminator: { propertyName: 'type' },
  required: ['type'],
  oneOf: fromServer
})
export type ServerMessage = Static<(typeof fromServer)[number]>
