import { type Static, Type } from '@sinclair/typebox'
import { Id, Nullable } from './scalars.ts'

export const Item = Type.Object(
  {
    id: Id('id of the item'),
    text: Type.String({
      description: '1–2,000 characters, line breaks allowed',
      examples: ['Order 12 chairs']
    }),
    done: Type.Boolean({ description: 'whether it is ticked', examples: [false] }),
    dueOn: Nullable(
      Type.String({ format: 'date', description: 'day it is due', examples: ['2026-06-20'] })
    ),
    position: Type.Number({ description: 'order in the list, ties by id', examples: [1024] })
  },
  { title: 'Item', additionalProperties: false, description: 'One line of a checklist' }
)
export type Item = Static<typeof Item>
