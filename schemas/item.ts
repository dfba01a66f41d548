import { type Static, Type } from '@sinclair/typebox'
import { maximum } from './limits.ts'
import { Id, Nullable } from './scalars.ts'

export const Item = Type.Object(
  {
    id: Id('id of the item'),
    text: Type.String({
      description: `text of the item: 1–${maximum.textLength} characters; may contain line breaks`,
      examples: ['Order 12 chairs']
    }),
    done: Type.Boolean({ description: 'whether the item is ticked', examples: [false] }),
    dueOn: Nullable(
      Type.String({
        format: 'date',
        description: 'due date: YYYY-MM-DD or null',
        examples: ['2026-06-20']
      })
    ),
    position: Type.Number({
      description: 'position in the checklist: items are sorted by position, then by id',
      examples: [1024]
    })
  },
  { title: 'Item', additionalProperties: false, description: 'An item of a checklist' }
)
export type Item = Static<typeof Item>
