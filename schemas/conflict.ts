import { type Static, Type } from '@sinclair/typebox'
import { Id, Nullable, OneOf } from './scalars.ts'

const Value = (description: string, example: unknown) =>
  Type.Unknown({ description, examples: [example] })

export const Conflict = Type.Object(
  {
    id: Id('id of the conflict'),
    itemId: Nullable(Id('id of the item; null for the title of the checklist')),
    field: OneOf(['text', 'title', 'dueOn', 'alive'], {
      description:
        'field with two values; `alive`: one user edited the item and another one deleted it',
      examples: ['text']
    }),
    base: Value('value that both edits started from', 'Order chairs'),
    ours: Value('value that the checklist has now', 'Order 12 chairs'),
    theirs: Value('value that is kept until a user chooses', 'Order 15 chairs'),
    oursBy: Nullable(Id('id of the user who wrote `ours`; null for plain SQL')),
    theirsBy: Nullable(Id('id of the user who wrote `theirs`; null for plain SQL')),
    openedRev: Type.Integer({
      description: 'revision of the checklist that opened the conflict',
      examples: [17]
    })
  },
  {
    title: 'Conflict',
    additionalProperties: false,
    description: 'Two values of one field, between which a user has to choose'
  }
)
export type Conflict = Static<typeof Conflict>

/** A conflict before an update. `base` may be long and never changes, so that only `after` contains it. */
export const ConflictBefore = Type.Omit(Conflict, ['base'], {
  title: 'ConflictBefore',
  additionalProperties: false,
  description: 'A conflict before an update, without `base`, which does not change'
})
export type ConflictBefore = Static<typeof ConflictBefore>
