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
const After = Nullable(Id('the item that it goes below; null is the top of the list'))
const optional = Type.Optional

const FromTo = <Schema extends TSchema>(value: Schema) =>
  Type.Object(
    { from: value, to: value },
    { additionalProperties: false, description: 'what the person saw, and what they want' }
  )

const operation = <Kind extends string, Fields extends Record<string, TSchema>>(
  kind: Kind,
  description: string,
  fields: Fields
) =>
  Type.Object(
    {
      opId: Id(
        'made by the client: sent again, the operation answers the same and changes nothing'
      ),
      kind: Type.Literal(kind, { description: 'what it does' }),
      at: optional(
        Type.String({
          ...wellFormed,
          maxLength: 40,
          description: "the client's time, for its own use",
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
  done: optional(Type.Boolean({ description: 'whether it is ticked; false when absent' })),
  dueOn: optional(Day('day it is due'))
}

const ItemAdd = operation('item.add', 'Adds one item (itemId, text) or several in a row (items)', {
  after: After,
  items: optional(
    Type.Array(Type.Object(NewItem, { additionalProperties: false }), {
      minItems: 1,
      maxItems: maximum.itemsPerAdd,
      description: 'items that stay together, in order'
    })
  ),
  itemId: optional(NewItem.itemId),
  text: optional(NewItem.text),
  done: NewItem.done,
  dueOn: NewItem.dueOn
})

const ItemSet = operation('item.set', 'Changes text, tick and date of an item, together or apart', {
  itemId: ItemId,
  set: Type.Object(
    {
      text: optional(FromTo(Text('text'))),
      done: optional(FromTo(Type.Boolean({ description: 'tick' }))),
      dueOn: optional(FromTo(Day('day it is due')))
    },
    { additionalProperties: false, minProperties: 1, description: 'the fields to change' }
  )
})

const ItemMove = operation('item.move', 'Puts an item below another', {
  itemId: ItemId,
  after: After
})

const ItemDelete = operation('item.delete', 'Deletes an item, if it is as the person saw it', {
  itemId: ItemId,
  seen: Type.Object(
    {
      text: Text('text'),
      done: Type.Boolean({ description: 'tick' }),
      dueOn: Day('day it is due')
    },
    { additionalProperties: false, description: 'what the person had on screen' }
  )
})

const ItemRestore = operation('item.restore', 'Brings a deleted item back to its place', {
  itemId: ItemId
})

const ListRename = operation('list.rename', 'Changes the title', {
  from: Text('title that the person saw', 'To buy'),
  to: Text('title that they want', 'To buy on Friday')
})

const ListDelete = operation('list.delete', 'Deletes the list, if nobody else changed it since', {
  seenRev: Rev('revision that the person saw'),
  force: optional(Type.Boolean({ description: 'delete it all the same' }))
})

const ListRestore = operation('list.restore', 'Brings a deleted list back', {})

const ListRestoreTo = operation(
  'list.restoreTo',
  'Puts title and items back to an earlier revision',
  {
    rev: Rev('revision to go back to'),
    seenRev: Rev('revision that the person saw')
  }
)

const ConflictResolve = operation(
  'conflict.resolve',
  'Chooses between the two values of a conflict',
  {
    conflictId: Id('id of the conflict'),
    choice: OneOf(['ours', 'theirs', 'both', 'custom', 'keep', 'delete'], {
      description:
        'the live value, the kept one, both (text), another one; keep or delete the item (alive)',
      examples: ['theirs']
    }),
    value: optional(Nullable(Text('with custom: text, title or date'))),
    seen: Nullable(Text('the live value that the person saw; of alive, the text of the item')),
    newItemId: optional(Id('with both: id of the item that gets the kept text'))
  }
)

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

/** What a person does to a checklist, with the values they started from. */
export const Operation = Type.Unsafe<Part>({
  type: 'object',
  title: 'Operation',
  description: 'What a person does to a checklist, with the values they started from',
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
      description: 'done in this order'
    })
  },
  { additionalProperties: false, description: 'Operations of one person on one checklist' }
)
export type Operations = Static<typeof Operations>

export const Result = Type.Object(
  {
    opId: Id('the operation that this answers'),
    outcome: OneOf(['applied', 'merged', 'conflict', 'noop', 'dropped', 'rejected'], {
      description:
        'applied; merged with what others did; conflict: kept beside the live value until someone chooses; ' +
        'noop: it was so already; dropped: the item is deleted; rejected: nothing was written, see code',
      examples: ['applied']
    }),
    rev: Type.Optional(Type.Integer({ description: 'last revision that it made', examples: [17] })),
    value: Type.Optional(Text('with merged: the text that is live now')),
    parts: Type.Optional(
      Type.Array(
        Type.Object(
          {
            length: Type.Integer({ minimum: 1, maximum: 8_000, description: 'UTF-16 code units' }),
            by: OneOf(['base', 'live', 'wanted', 'both'], {
              description:
                'base: as it was; live: written by others; wanted: written by this operation; both: by both alike'
            })
          },
          { additionalProperties: false }
        ),
        {
          maxItems: maximum.mergedParts,
          description:
            'with merged: who wrote which part of value, in order; the lengths add up to that of value, ' +
            'and adjoining parts differ in by. Deleted words are in no part. One part by both when there are more than ' +
            maximum.mergedParts
        }
      )
    ),
    conflictId: Type.Optional(Id('with conflict: the conflict')),
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
        { description: 'why it was rejected, dropped or had nothing to do', examples: ['stale'] }
      )
    ),
    duplicate: Type.Optional(Type.Boolean({ description: 'true when this was decided earlier' }))
  },
  { title: 'Result', additionalProperties: false, description: 'What became of one operation' }
)
export type Result = Static<typeof Result>

export const Results = Type.Object(
  { results: Type.Array(Result, { description: 'one per operation, in order' }) },
  { additionalProperties: false, description: 'What became of the operations' }
)
export type Results = Static<typeof Results>
