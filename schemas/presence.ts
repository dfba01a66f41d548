import { type Static, Type } from '@sinclair/typebox'
import { maximum } from './limits.ts'
import { Id, Nullable, OneOf, wellFormed } from './scalars.ts'

export const PresenceState = Type.Object(
  {
    itemId: Type.Optional(Id('the item that the person is at')),
    field: Type.Optional(
      OneOf(['text', 'dueOn', 'title'], { description: 'the field they are in' })
    ),
    caret: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 10_000, description: 'where in the text, in characters' })
    ),
    draft: Type.Optional(
      Type.String({
        ...wellFormed,
        maxLength: maximum.textLength,
        description: 'what they have typed and not sent yet'
      })
    )
  },
  { additionalProperties: false, description: 'Where a person is; nothing of it is stored' }
)
export type PresenceState = Static<typeof PresenceState>

export const Peer = Type.Object(
  {
    connectionId: Id('of the socket: one person may have several'),
    userId: Id('the person'),
    name: Type.String({ description: 'name of the person', examples: ['Ann'] }),
    state: Nullable(PresenceState)
  },
  {
    additionalProperties: false,
    description:
      'Another socket on a checklist. `state` is {} until it sends one, and null when it has left or is ' +
      'only counted in `others` from now on'
  }
)
export type Peer = Static<typeof Peer>
