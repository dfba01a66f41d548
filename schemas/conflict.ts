import { type Static, Type } from '@sinclair/typebox'
import { Id, Nullable, OneOf } from './scalars.ts'

const Kept = (description: string, example: unknown) =>
  Type.Unknown({ description, examples: [example] })

export const Conflict = Type.Object(
  {
    id: Id('id of the conflict'),
    itemId: Nullable(Id('the item; null for the title of the list')),
    field: OneOf(['text', 'title', 'dueOn', 'alive'], {
      description: 'what the two sides disagree about; alive: whether the item is there',
      examples: ['text']
    }),
    base: Kept('what both sides started from', 'Order chairs'),
    ours: Kept('what is live', 'Order 12 chairs'),
    theirs: Kept('what is kept beside it', 'Order 15 chairs'),
    oursBy: Nullable(Id('who wrote `ours`; null for plain SQL')),
    theirsBy: Nullable(Id('who wrote `theirs`; null for plain SQL')),
    openedRev: Type.Integer({
      description: 'revision of the list that opened the conflict',
      examples: [17]
    })
  },
  {
    title: 'Conflict',
    additionalProperties: false,
    description: 'Two values that only a person can choose between; neither is lost'
  }
)
export type Conflict = Static<typeof Conflict>
