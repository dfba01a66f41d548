import { checkOperation } from '../lib/check-operation.ts'
import { maximum } from '../schemas/limits.ts'
import { ConcordError } from './errors.ts'
import { itemAbove } from './place.ts'
import { shownItem, shownTitle, type Working } from './replay.ts'
import type { Checklist, Choice, Item, Operation } from './types.ts'
import type { NewOperation } from './undo.ts'
import { uuid } from './uuid.ts'

/** JSON of the items of one operation, in UTF-16 code units */
const addLength = 60_000

type Fields = Extract<Operation, { kind: 'item.set' }>['set']

/** Returns an operation in its stored form. Throws INVALID or TOO_LONG when the service would never accept it. */
export function make<Body extends NewOperation>(
  body: Body,
  working?: Working
): Body & { opId: string } {
  const op = { opId: uuid(), ...body } as Operation
  const checked = isWellFormed(op) ? checkOperation(op) : { code: 'invalid' as const }
  if ('code' in checked)
    throw checked.code === 'limit'
      ? new ConcordError('TOO_LONG', 'too long')
      : invalid('not allowed')
  const { values, ...stored } = checked.op
  if (op.kind !== 'conflict.resolve' || !values) return stored as never
  const field = working?.conflicts.get(op.conflictId)?.field
  const value = values[field as keyof typeof values]
  if (value === undefined) throw invalid('not allowed')
  return { ...op, value } as never
}

/** Returns whether the service accepts all characters: neither NUL nor half of a surrogate pair. */
const isWellFormed = (op: Operation) => !/\\u(0000|d[89a-f])/.test(JSON.stringify(op))

// The following functions make an operation on what `working` shows. They return null when it would change nothing.

export function makeSet(
  working: Working,
  itemId: string,
  to: Parameters<Checklist['set']>[1],
  { text: start }: NonNullable<Parameters<Checklist['set']>[2]> = {}
): Operation | null {
  const { id, text, done, dueOn } = shown(working, itemId)
  const set: Fields = {}
  if (to.text !== undefined) set.text = { from: start ?? text, to: to.text }
  if (to.done !== undefined) set.done = { from: done, to: to.done }
  if (to.dueOn !== undefined) set.dueOn = { from: dueOn, to: to.dueOn }
  const op = make({ kind: 'item.set', itemId: id, set })
  const changed = Object.entries(op.set).filter(([, { from, to }]) => from !== to)
  return changed.length > 0 ? { ...op, set: Object.fromEntries(changed) } : null
}

export function makeMove(working: Working, itemId: string, after: string | null): Operation | null {
  const item = shown(working, itemId)
  const anchor = after === null ? null : shown(working, after).id
  const op = make({ kind: 'item.move', itemId: item.id, after: anchor })
  return itemAbove(working, item) === anchor ? null : op
}

export function makeRemove(working: Working, itemId: string): Operation {
  const { id, text, done, dueOn } = shown(working, itemId)
  return make({ kind: 'item.delete', itemId: id, seen: { text, done, dueOn } })
}

export function makeRestore(working: Working, anyCaseId: string): Operation | null {
  const itemId = anyCaseId.toLowerCase()
  if (working.items.has(itemId)) return null
  checkRoom(working, 1)
  return make({ kind: 'item.restore', itemId })
}

export function makeRename(
  working: Working,
  title: string,
  from = shownTitle(working)
): Operation | null {
  const op = make({ kind: 'list.rename', from, to: title })
  return op.from === op.to ? null : op
}

/** Returns operations that add lines, and the ids of the new items. */
export function makeAdd(
  working: Working,
  text: string | readonly string[],
  { after, done, dueOn }: Parameters<Checklist['add']>[1] = {}
): { ops: Operation[]; ids: string[] } {
  const texts = typeof text === 'string' ? [text] : text
  checkRoom(working, texts.length)
  if (texts.length === 0) throw invalid('nothing to add')
  const last = after === null ? null : (working.order.at(-1)?.id ?? null)
  let anchor = after ? shown(working, after).id : last
  const ids: string[] = []
  const ops: Operation[] = []
  let items: { itemId: string; text: string; done?: boolean; dueOn?: string | null }[] = []
  let length = 0
  for (const line of texts) {
    const itemId = uuid()
    items.push({ itemId, text: line, done, dueOn })
    ids.push(itemId)
    length += line.length
    const isFull = items.length === maximum.itemsPerAdd || length > addLength
    if (!isFull && ids.length < texts.length) continue
    ops.push(make({ kind: 'item.add', after: anchor, items }))
    anchor = itemId
    items = []
    length = 0
  }
  return { ops, ids }
}

export function makeResolve(working: Working, conflictId: string, choice: Choice): Operation {
  const { conflicts, title, items } = working
  const conflict = conflicts.get(conflictId.toLowerCase())
  if (!conflict) throw invalid('this conflict is not open')
  const { field, itemId } = conflict
  const word = typeof choice === 'object' ? 'custom' : choice
  const isOfLife = word === 'keep' || word === 'delete'
  if ((field === 'alive') !== isOfLife || (word === 'both' && field !== 'text'))
    throw invalid('this choice is not possible')
  if (word === 'both') checkRoom(working, 1)
  const item = itemId === null ? undefined : items.get(itemId)
  const live = field === 'title' ? title : field === 'dueOn' ? item?.dueOn : item?.text
  const body = {
    kind: 'conflict.resolve',
    conflictId: conflict.id,
    choice: word,
    seen: live ?? null,
    ...(typeof choice === 'object' && { value: choice.custom }),
    ...(word === 'both' && { newItemId: uuid() })
  } as const
  return make(body, working)
}

/** Returns an item as the user sees it. Throws when there is none. */
function shown(working: Working, itemId: string): Item {
  const item = shownItem(working, itemId.toLowerCase())
  if (!item) throw invalid('the checklist does not show this item')
  return item
}

function checkRoom({ items }: Working, many: number) {
  if (items.size + many > maximum.itemsPerChecklist)
    throw new ConcordError('LIMIT', `a checklist has at most ${maximum.itemsPerChecklist} items`)
}

const invalid = (message: string) => new ConcordError('INVALID', message)
