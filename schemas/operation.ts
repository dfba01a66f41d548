import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { maximum } from './limits.ts'
import { Id, Nullable, OneOf, wellFormed } from './scalars.ts'

const Text = (description: string, example = 'Order 12 chairs') =>
  Type.String({ ...wellFormed, description, examples: [example] })
const Day = (description: string) =>
  Nullable(
    Type.String({
      ...wellFormed,
      description: `${description}: YYYY-MM-DD or null`,
      examples: ['2026-12-01']
    })
  )
const Rev = (description: string) =>
  Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description, examples: [16] })
const ItemId = Id('id of the item')
const After = Nullable(
  Id('id of the item below which it is put; null for the top of the checklist')
)
const optional = Type.Optional

const FromTo = <Schema extends TSchema>(value: Schema) =>
  Type.Object(
    { from: value, to: value },
    {
      additionalProperties: false,
      description: 'value that the user saw (from), and the new value (to)'
    }
  )

const operation = <Kind extends string, Fields extends Record<string, TSchema>>(
  kind: Kind,
  description: string,
  fields: Fields
) =>
  Type.Object(
    {
      opId: Id(
        'id of the operation, made by the client; when it is sent again, it returns the same result and changes nothing'
      ),
      kind: Type.Literal(kind, { description: 'kind of the operation' }),
      at: optional(
        Type.String({
          ...wellFormed,
          maxLength: 40,
          description: 'time of the client, which the service ignores',
          examples: ['2025-11-22T10:28:13.370Z']
        })
      ),
      ...fields
    },
    { additionalProperties: false, title: kind, description }
  )

const NewItem = {
  itemId: Id('id of the new item, made by the client'),
  text: Text('text of the new item'),
  done: optional(Type.Boolean({ description: 'whether the item is ticked; default false' })),
  dueOn: optional(Day('due date'))
}

const ItemAdd = operation(
  'item.add',
  'Adds one item (itemId, text), or several below one another (items)',
  {
    after: After,
    items: optional(
      Type.Array(Type.Object(NewItem, { additionalProperties: false }), {
        minItems: 1,
        maxItems: maximum.itemsPerAdd,
        description:
          'the items, in order; they stay together when others add items at the same place'
      })
    ),
    itemId: optional(NewItem.itemId),
    text: optional(NewItem.text),
    done: NewItem.done,
    dueOn: NewItem.dueOn
  }
)

const ItemSet = operation(
  'item.set',
  'Changes text, tick or due date of an item, or several of them',
  {
    itemId: ItemId,
    set: Type.Object(
      {
        text: optional(FromTo(Text('text of the item'))),
        done: optional(FromTo(Type.Boolean({ description: 'whether the item is ticked' }))),
        dueOn: optional(FromTo(Day('due date')))
      },
      { additionalProperties: false, minProperties: 1, description: 'the fields to change' }
    )
  }
)

const ItemMove = operation('item.move', 'Moves an item below another one', {
  itemId: ItemId,
  after: After
})

const ItemDelete = operation(
  'item.delete',
  'Deletes an item; if it was edited meanwhile, it stays and a conflict opens',
  {
    itemId: ItemId,
    seen: Type.Object(
      {
        text: Text('text of the item'),
        done: Type.Boolean({ description: 'whether the item is ticked' }),
        dueOn: Day('due date')
      },
      { additionalProperties: false, description: 'the item as the user saw it' }
    )
  }
)

const ItemRestore = operation('item.restore', 'Restores a deleted item at its former position', {
  itemId: ItemId
})

const ListRename = operation('list.rename', 'Changes the title of the checklist', {
  from: Text('title that the user saw', 'To buy'),
  to: Text('new title', 'To buy on Friday')
})

const ListDelete = operation(
  'list.delete',
  'Deletes the checklist, unless another user changed it after `seenRev`',
  {
    seenRev: Rev('revision that the user saw'),
    force: optional(Type.Boolean({ description: 'delete it even if another user changed it' }))
  }
)

const ListRestore = operation('list.restore', 'Restores a deleted checklist', {})

const ListRestoreTo = operation(
  'list.restoreTo',
  'Restores title and items as they were at an earlier revision',
  {
    rev: Rev('revision to restore'),
    seenRev: Rev('revision that the user saw')
  }
)

const ConflictResolve = operation('conflict.resolve', 'Resolves a conflict by choosing a value', {
  conflictId: Id('id of the conflict'),
  choice: OneOf(['ours', 'theirs', 'both', 'custom', 'keep', 'delete'], {
    description:
      'value to use. ours: the value of the checklist; theirs: the kept value; both: ours, and theirs as a new item ' +
      '(only text); custom: `value`; keep or delete: the item (only alive)',
    examples: ['theirs']
  }),
  value: optional(Nullable(Text('with choice custom: the text, title or date'))),
  seen: Nullable(
    Text('the value of the checklist that the user saw; for alive, the text of the item')
  ),
  newItemId: optional(Id('with choice both: id of a new item, which gets the text of `theirs`'))
})

const parts = [
  ItemAdd,
  ItemSet,
  ItemMove,
  ItemDelete,
  ItemRestore,
  ListRename,
  ListDelete,
  ListRestore,
  ListRestoreTo,
  ConflictResolve
] as const

type Part = Static<(typeof parts)[number]>

/**
 * A change of a checklist by a user. It contains the values that the user saw, so that concurrent edits can be merged.
 */
export const Operation = Type.Unsafe<Part>({
  type: 'object',
  title: 'Operation',
  description:
    'A change of a checklist. It contains the values that the user saw, so that concurrent edits can be merged',
  discriminator: { propertyName: 'kind' },
  required: ['kind'],
  oneOf: parts,
  examples: [
    {
      opId: '6f1d1f3e-3c37-4c47-9a28-0a6d0a3f2b11',
      kind: 'item.set',
      itemId: '0b9f2b0e-5d4e-4c1c-9a53-3f1a3c9c7d10',
      set: { done: { from: false, to: true } }
    }
  ]
})
export type Operation = Part

export const Operations = Type.Object(
  {
    ops: Type.Array(Operation, {
      minItems: 1,
      maxItems: maximum.operationsPerPush,
      description: 'the operations, applied in this order'
    })
  },
  { additionalProperties: false, description: 'Operations of a user on a checklist' }
)
export type Operations = Static<typeof Operations>

export const Result = Type.Object(
  {
    opId: Id('id of the operation'),
    outcome: OneOf(['applied', 'merged', 'conflict', 'noop', 'dropped', 'rejected'], {
      description:
        'applied: done as sent; merged: combined with the edit of another user; conflict: the value is kept until a ' +
        'user chooses; noop: nothing to change; dropped: the item is deleted; rejected: nothing was written, see code',
      examples: ['applied']
    }),
    rev: Type.Optional(
      Type.Integer({ description: 'last revision that the operation made', examples: [17] })
    ),
    value: Type.Optional(Text('with merged: the merged text')),
    parts: Type.Optional(
      Type.Array(
        Type.Object(
          {
            length: Type.Integer({
              minimum: 1,
              maximum: 8_000,
              description: 'length of the part, in UTF-16 code units'
            }),
            by: OneOf(['base', 'live', 'wanted', 'both'], {
              description:
                'author of the part. base: in the text before both edits; live: written by another user; wanted: written ' +
                'by this operation; both: written by both'
            })
          },
          { additionalProperties: false }
        ),
        {
          maxItems: maximum.mergedParts,
          description:
            'with merged: the parts of value by author, in order. Their lengths add up to that of value, and adjacent ' +
            'parts differ in `by`. Deleted words are in no part. If there are more parts than ' +
            `${maximum.mergedParts}, value is one part by both`
        }
      )
    ),
    conflictId: Type.Optional(Id('with conflict: id of the conflict')),
    code: Type.Optional(
      OneOf(
        [
          'invalid',
          'limit',
          'not_found',
          'forbidden',
          'list_deleted',
          'changed_since',
          'stale',
          'op_id_reused',
          'item_deleted',
          'already_resolved'
        ],
        { description: 'reason of rejected, dropped or noop', examples: ['stale'] }
      )
    ),
    duplicate: Type.Optional(
      Type.Boolean({
        description: 'true when the operation was sent before: this is its first result'
      })
    )
  },
  { title: 'Result', additionalProperties: false, description: 'The result of an operation' }
)
export type Result = Static<typeof Result>

export const Results = Type.Object(
  { results: Type.Array(Result, { description: 'one result per operation, in order' }) },
  { additionalProperties: false, description: 'The results of the operations' }
)
export type Results = Static<typeof Results>
