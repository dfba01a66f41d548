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
  { description: 'type of the change', examples: ['item.updated'] }
)
export type ChangeKind = Static<typeof ChangeKind>

/** The state of a checklist in `before` and `after` of a change. */
export interface ChecklistState {
  id: string
  title: string
  deleted: boolean
}

// This schema is not a union, because the serializer would validate every change against each part of the union.
const State = (description: string) =>
  Type.Unsafe<Item | ChecklistState | Conflict>({
    type: 'object',
    additionalProperties: true,
    description: `${description}: an Item, {id, title, deleted} of the checklist, or a Conflict, depending on kind`,
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
    rev: Type.Integer({
      description: 'revision of the checklist that this change made: 1, 2, 3, … without gaps',
      examples: [17]
    }),
    kind: ChangeKind,
    itemId: Type.Optional(Id('id of the item; absent for a change of the checklist itself')),
    before: Type.Optional(State('State before the change; absent for a new one')),
    after: Type.Optional(State('State after the change; absent for a deleted one')),
    actorId: Nullable(Id('id of the user who made the change; null for plain SQL')),
    opId: Nullable(Id('id of the operation that made the change; null when there was none')),
    source: OneOf(['ws', 'http', 'sql'], {
      description: 'interface that the change was made through',
      examples: ['ws']
    }),
    at: Timestamp('time of the commit')
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
      ...Rev('newest revision that the client has; 0 for all changes'),
      default: 0
    }),
    item: Type.Optional(Id('id of an item: return only its changes')),
    limit: Type.Integer({
      minimum: 1,
      maximum: maximum.changesPerPage,
      default: maximum.changesPerPage,
      description: 'maximum number of changes',
      examples: [maximum.changesPerPage]
    })
  },
  { additionalProperties: false }
)

export const Changes = Type.Object(
  {
    from: Rev('first revision of this page: `since` + 1'),
    to: Rev('last revision of this page: `since` of the next request'),
    head: Rev('newest revision of the checklist; request the next page while `to` is lower'),
    changes: Type.Array(Change, { description: 'in order of `rev`' })
  },
  { additionalProperties: false, description: 'A page of the changes of a checklist' }
)
export type Changes = Static<typeof Changes>
