import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { Conflict, ConflictBefore } from './conflict.ts'
import { Item } from './item.ts'
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

export const ChecklistState = Type.Object(
  {
    id: Id('id of the checklist'),
    title: Type.String({ description: 'title of the checklist', examples: ['To buy'] }),
    deleted: Type.Boolean({ description: 'whether the checklist is deleted' })
  },
  {
    title: 'ChecklistState',
    additionalProperties: false,
    description: 'A checklist before or after a change'
  }
)
export type ChecklistState = Static<typeof ChecklistState>

/** The fields that every change has. */
export const changeFields = {
  rev: Type.Integer({
    description: 'revision of the checklist that this change made: 1, 2, 3, … without gaps',
    examples: [17]
  }),
  actorId: Nullable(Id('id of the user who made the change; null for plain SQL')),
  opId: Nullable(Id('id of the operation that made the change; null when there was none')),
  source: OneOf(['ws', 'http', 'sql'], {
    description: 'interface that the change was made through',
    examples: ['ws']
  }),
  at: Timestamp('time of the commit')
}

const itemId = Id('id of the item')
const conflictItemId = Type.Optional(Id('id of the item; absent for a conflict about the title'))

/** The other fields of a change, by kind. */
export const changeStates = {
  'item.added': { itemId, after: Item },
  'item.updated': { itemId, before: Item, after: Item },
  'item.deleted': { itemId, before: Item },
  'checklist.created': { after: ChecklistState },
  'checklist.updated': { before: ChecklistState, after: ChecklistState },
  // `after` is absent when the row was deleted with plain SQL.
  'checklist.deleted': { before: ChecklistState, after: Type.Optional(ChecklistState) },
  'checklist.restored': { before: ChecklistState, after: ChecklistState },
  'conflict.opened': { itemId: conflictItemId, after: Conflict },
  'conflict.updated': { itemId: conflictItemId, before: ConflictBefore, after: Conflict },
  'conflict.resolved': { itemId: conflictItemId, before: Conflict }
} satisfies Record<ChangeKind, Partial<Record<StateField, TSchema>>>

type StateField = 'itemId' | 'before' | 'after'

const absent = Type.Optional(Type.Never())

/** Adds the fields that the kind does not have, so that code can read `before` of a change of any kind. */
function withAbsent<States extends Partial<Record<StateField, TSchema>>>(states: States) {
  return { itemId: absent, before: absent, after: absent, ...states } as States &
    Record<Exclude<StateField, keyof States>, typeof absent>
}

const changeOf = <Kind extends ChangeKind, States extends Partial<Record<StateField, TSchema>>>(
  kind: Kind,
  states: States
) => Type.Object({ kind: Type.Literal(kind), ...changeFields, ...withAbsent(states) })

/** The exact schema of each kind of change. It gives the types; nothing validates or serializes with it. */
export const exactChanges = [
  changeOf('item.added', changeStates['item.added']),
  changeOf('item.updated', changeStates['item.updated']),
  changeOf('item.deleted', changeStates['item.deleted']),
  changeOf('checklist.created', changeStates['checklist.created']),
  changeOf('checklist.updated', changeStates['checklist.updated']),
  changeOf('checklist.deleted', changeStates['checklist.deleted']),
  changeOf('checklist.restored', changeStates['checklist.restored']),
  changeOf('conflict.opened', changeStates['conflict.opened']),
  changeOf('conflict.updated', changeStates['conflict.updated']),
  changeOf('conflict.resolved', changeStates['conflict.resolved'])
]

const State = (description: string) =>
  Type.Optional(
    Type.Unsafe({
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
  )

/**
 * One committed change. The type is a union by `kind`. The schema is not, because the serializer would validate every
 * change against each part of the union.
 */
export const Change = Type.Unsafe<ExactChange>(
  Type.Object(
    {
      rev: changeFields.rev,
      kind: ChangeKind,
      itemId: Type.Optional(Id('id of the item; absent for a change of the checklist itself')),
      before: State('State before the change; absent for a new one'),
      after: State('State after the change; absent for a deleted one'),
      actorId: changeFields.actorId,
      opId: changeFields.opId,
      source: changeFields.source,
      at: changeFields.at
    },
    {
      title: 'Change',
      additionalProperties: false,
      description: 'One committed change of a checklist'
    }
  )
)
export type Change = Static<typeof Change>

type ExactChange = Static<(typeof exactChanges)[number]>

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
