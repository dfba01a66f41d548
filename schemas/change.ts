import { type Static, Type } from '@sinclair/typebox'
import type { Conflict } from './conflict.ts'
import type { Item } from './item.ts'
import { maximum } from './limits.ts'
import { Id, Nullable, OneOf, Timestamp } from './scalars.ts'

export const ChangeKind = OneOf(
  [
    'item.added',
    'item.updated',
    'item.deleted',
    'checklist.created',
    'checklist.updated',
    'checklist.deleted',
    'checklist.restored',
    'conflict.opened',
    'conflict.updated',
    'conflict.resolved'
  ],
  { description: 'what happened', examples: ['item.updated'] }
)
export type ChangeKind = Static<typeof ChangeKind>

/** A checklist as its own changes tell of it. */
export interface ChecklistState {
  id: string
  title: string
  deleted: boolean
}

// Not a union: the serializer would validate every change against each part of it.
const State = (description: string) =>
  Type.Unsafe<Item | ChecklistState | Conflict>({
    type: 'object',
    additionalProperties: true,
    description: `${description}: an Item, {id,title,deleted} of the checklist, or a Conflict, by kind`,
    examples: [
      {
        id: '0b9f2b0e-5d4e-4c1c-9a53-3f1a3c9c7d10',
        text: 'Order 12 chairs',
        done: true,
        dueOn: null,
        position: 1024
      }
    ]
  })

export const Change = Type.Object(
  {
    rev: Type.Integer({ description: '1, 2, 3 … a checklist, without a gap', examples: [17] }),
    kind: ChangeKind,
    itemId: Type.Optional(Id('the item that the change is about')),
    before: Type.Optional(State('What was; absent when it is new')),
    after: Type.Optional(State('What is; absent when it is gone')),
    actorId: Nullable(Id('who made the change; null for plain SQL')),
    opId: Nullable(Id('the operation that made it; null for plain SQL')),
    source: OneOf(['ws', 'http', 'sql'], {
      description: 'the way it came in',
      examples: ['ws']
    }),
    at: Timestamp('when it was committed')
  },
  {
    title: 'Change',
    additionalProperties: false,
    description: 'One committed change of a checklist'
  }
)
export type Change = Static<typeof Change>

const Rev = (description: string) =>
  Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description, examples: [16] })

export const ChangesQuery = Type.Object(
  {
    since: Type.Integer({
      ...Rev('revision that the client has; 0 for none'),
      default: 0
    }),
    item: Type.Optional(Id('only what happened to this item')),
    limit: Type.Integer({
      minimum: 1,
      maximum: maximum.changesPerPage,
      default: maximum.changesPerPage,
      description: 'changes at most',
      examples: [maximum.changesPerPage]
    })
  },
  { additionalProperties: false }
)

export const Changes = Type.Object(
  {
    from: Rev('`since` + 1'),
    to: Rev('revision after these changes: `since` of the next request'),
    head: Rev('newest revision of the list; fetch on while `to` is lower'),
    changes: Type.Array(Change)
  },
  { additionalProperties: false, description: 'Changes of one checklist, in order' }
)
export type Changes = Static<typeof Changes>
