import { type Static, Type } from '@sinclair/typebox'
import { maximum } from './limits.ts'
import { Id, Nullable, OneOf, wellFormed } from './scalars.ts'

export const PresenceState = Type.Object(
  {
    itemId: Type.Optional(Id('id of the item that the user is editing')),
    field: Type.Optional(
      OneOf(['text', 'dueOn', 'title'], { description: 'field that the user is editing' })
    ),
    caret: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 10_000,
        description: 'position of the caret in the text, in characters'
      })
    ),
    draft: Type.Optional(
      Type.String({
        ...wellFormed,
        maxLength: maximum.textLength,
        description: 'text that the user has typed and not sent yet'
      })
    )
  },
  {
    additionalProperties: false,
    description: 'What a user is editing at the moment; it is not stored'
  }
)
export type PresenceState = Static<typeof PresenceState>

export const Peer = Type.Object(
  {
    connectionId: Id('id of the socket; one user may have several sockets'),
    userId: Id('id of the user'),
    name: Type.String({ description: 'name of the user', examples: ['Ann'] }),
    state: Nullable(PresenceState)
  },
  {
    additionalProperties: false,
    description:
      'Another socket that has the checklist open. `state` is {} until the socket sends one. It is null when the ' +
      'socket has left, and when it is no longer shown but only counted in `others`'
  }
)
export type Peer = Static<typeof Peer>
