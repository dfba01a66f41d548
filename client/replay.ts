import { checkOperation, isStorable } from '../lib/check-operation.ts'
import { mergeText } from '../lib/merge-text.ts'
import { maximum } from '../schemas/limits.ts'
import type { Confirmed } from './confirmed.ts'
import {
  copyRows,
  deleteItem,
  isAbove,
  itemBelow,
  placeBelow,
  placeOf,
  putItem,
  type Rows
} from './place.ts'
import type { Entry } from './storage.ts'
import type { Conflict, Item, Line, Operation, Person, Result } from './types.ts'

/** A checklist as it would be if the service had decided the operations of this device. `applyOne` changes it. */
export interface Working extends Rows {
  readonly confirmed: Confirmed
  readonly userId: string
  title: string
  isDeleted: boolean
  /** open conflicts by id: those of the service, and the predicted ones, which are not shown */
  conflicts: Map<string, Conflict>
  /** by `opId` */
  predictions: Map<string, Prediction>
}

/** What the service will probably decide about an operation. */
export interface Prediction {
  /** undefined when it cannot be known */
  outcome?: Result['outcome']
  code?: Result['code']
  /** the items that the operation changes, without those that the service has sent already */
  itemIds: readonly string[]
  /** item.set: the item without this operation. With list.rename, its text is the title */
  under?: Item
  /** item.set and list.rename: the text that is shown after this operation */
  shown?: string
  /** item.set and list.rename: the fields whose new value will be kept in a conflict */
  kept?: readonly Field[]
  /** true when a newer operation must not be combined with this one */
  isFinal?: boolean
}

type Field = Conflict['field']
type Of<Kind extends Operation['kind']> = Extract<Operation, { kind: Kind }>
type Checked = ReturnType<typeof checkOperation>

// The revision of a predicted conflict, which no real one has.
const PREDICTED = Number.POSITIVE_INFINITY

/** Applies the operations of this device to the state of the service. */
export function replay(
  confirmed: Confirmed,
  entries: readonly Pick<Entry, 'op'>[],
  userId: string
): Working {
  const working: Working = {
    ...copyRows(confirmed),
    confirmed,
    userId,
    title: confirmed.title,
    isDeleted: confirmed.isDeleted,
    conflicts: new Map(confirmed.conflicts),
    predictions: new Map()
  }
  for (const entry of entries) applyOne(working, entry)
  return working
}

/** Returns a copy, to which operations can be applied without changing the original. */
export function fork(working: Working): Working {
  const { conflicts, predictions } = working
  return {
    ...working,
    ...copyRows(working),
    conflicts: new Map(conflicts),
    predictions: new Map(predictions)
  }
}

/** Applies one more operation to `working`, which changes, and returns what is predicted. */
export function applyOne(working: Working, { op }: Pick<Entry, 'op'>): Prediction {
  const prediction = predict(working, op)
  working.predictions.set(op.opId, prediction)
  return prediction
}

/** Returns an item as it is shown: while an edit of this device is unsent, its own value of a conflict. */
export function shownItem(working: Working, id: string): Item | undefined {
  const item = working.items.get(id)
  return item && { ...item, ...keptValues(working).get(id) }
}

/** Returns the title as it is shown. */
export function shownTitle(working: Working): string {
  return keptValues(working).get(null)?.title ?? working.title
}

/** Returns the open conflicts, the oldest first, without the predicted ones. */
export function openConflicts({ conflicts }: Working): Conflict[] {
  return [...conflicts.values()].filter(({ openedRev }) => openedRev !== PREDICTED)
}

const none: readonly never[] = []

/** Returns the lines to show. Unchanged lines are the same objects as in `previous`, and so is an unchanged array. */
export function viewOf(
  working: Working,
  entries: readonly Entry[],
  previous: readonly Line[] = none,
  people: ReadonlyMap<string, readonly Person[]> = new Map()
): readonly Line[] {
  const marks = new Map<string, Line['mark']>()
  for (const { op, isSent } of entries)
    for (const id of working.predictions.get(op.opId)?.itemIds ?? none)
      if (marks.get(id) !== 'waiting') marks.set(id, isSent ? 'sending' : 'waiting')
  const conflicts = new Map<string | null, Conflict[]>()
  for (const conflict of openConflicts(working)) {
    const { itemId } = conflict
    conflicts.set(itemId, [...(conflicts.get(itemId) ?? none), conflict])
  }
  const kept = keptValues(working)
  const old = new Map(previous.map(line => [line.id, line]))
  const lines = working.order.map(item => {
    const line = {
      ...item,
      ...kept.get(item.id),
      mark: marks.get(item.id) ?? 'saved',
      conflicts: conflicts.get(item.id) ?? none,
      people: people.get(item.id) ?? none
    }
    const before = old.get(item.id)
    return before && isSameLine(before, line) ? before : line
  })
  return isSame(lines, previous) ? previous : lines
}

function isSameLine(a: Line, b: Line): boolean {
  return (
    a.text === b.text &&
    a.done === b.done &&
    a.dueOn === b.dueOn &&
    a.position === b.position &&
    a.mark === b.mark &&
    isSame(a.conflicts, b.conflicts) &&
    isSame(a.people, b.people)
  )
}

const isSame = (a: readonly unknown[], b: readonly unknown[]) =>
  a === b || (a.length === b.length && a.every((value, index) => value === b[index]))

/** Returns the values of predicted conflicts by item, null for the title. */
function keptValues({ conflicts }: Working) {
  const values = new Map<string | null, Partial<Item> & { title?: string }>()
  for (const { itemId, field, theirs, openedRev } of conflicts.values())
    if (openedRev === PREDICTED && field !== 'alive')
      values.set(itemId, { ...values.get(itemId), [field]: theirs })
  return values
}

const checks = new WeakMap<Operation, Checked>()

/** Returns the operation in its stored form, as the service checks it. Every object is checked once. */
export function checkOnce(op: Operation): Checked {
  const checked = checks.get(op) ?? checkOperation(op)
  checks.set(op, checked)
  return checked
}

function predict(working: Working, sent: Operation): Prediction {
  const checked = checkOnce(sent)
  if ('code' in checked) return rejected(checked.code)
  const { op } = checked
  const landed = new Set(working.confirmed.landed.get(op.opId))
  if (working.isDeleted && op.kind !== 'list.restore')
    return op.kind === 'list.delete' ? { outcome: 'noop', itemIds: none } : rejected('list_deleted')
  switch (op.kind) {
    case 'item.add':
      return addItems(working, op, landed)
    case 'item.set':
      return setItem(working, op, landed)
    case 'item.move':
      return moveItem(working, op, landed)
    case 'item.delete':
      return removeItem(working, op, landed)
    case 'item.restore':
      return restoreItem(working, op, landed)
    case 'list.rename':
      return rename(working, op, landed)
    case 'list.delete': {
      if (landed.has('list')) return { itemIds: none }
      working.isDeleted = true
      const isSafe = op.force || working.confirmed.rev <= op.seenRev
      return { outcome: isSafe ? 'applied' : undefined, itemIds: none }
    }
    case 'list.restore': {
      const outcome = working.isDeleted ? 'applied' : 'noop'
      if (!landed.has('list')) working.isDeleted = false
      return { outcome, itemIds: none }
    }
    case 'list.restoreTo':
      return { itemIds: none }
    case 'conflict.resolve':
      return resolve(working, op)
  }
}

type Landed = ReadonlySet<string>

const rejected = (code: Result['code'], ...itemIds: string[]): Prediction => ({
  outcome: 'rejected',
  code,
  itemIds
})

// The functions below mirror those of sql/functions, from op_item_add to op_conflict_resolve.

function addItems(working: Working, op: Of<'item.add'>, landed: Landed): Prediction {
  const all = op.items ?? none
  const added = all.filter(({ itemId }) => !landed.has(itemId))
  const itemIds = added.map(({ itemId }) => itemId)
  if (added.length === 0) return { itemIds }
  if (new Set(itemIds).size < added.length) return rejected('invalid', ...itemIds)
  const known = itemIds.filter(id => placeOf(working, id)).length
  if (known === added.length) return { outcome: 'noop', itemIds }
  if (known > 0) return rejected('invalid', ...itemIds)
  if (added.length > roomFor(working)) return rejected('limit', ...itemIds)

  const { start, step, isKnown } = findPlace(working, op.after, all.length, landed)
  all.forEach(({ itemId: id, text, done = false, dueOn = null }, n) => {
    if (!landed.has(id)) putItem(working, { id, text, done, dueOn, position: start + step * n })
  })
  return { outcome: isKnown ? 'applied' : undefined, itemIds }
}

const roomFor = ({ items }: Rows) => maximum.itemsPerChecklist - items.size

/** Returns positions below an anchor. Below an unknown anchor they are at the end, because the service may know it. */
function findPlace(working: Working, anchor: string | null, many: number, skipped: Landed) {
  const isKnown = placeOf(working, anchor) !== undefined
  const below = isKnown ? anchor : (working.order.at(-1)?.id ?? null)
  let place = placeBelow(working, below, many, skipped)
  if (!place?.fits) {
    makeRoom(working)
    place = placeBelow(working, below, many, skipped)
  }
  return { start: 0, step: 0, ...place, isKnown }
}

/** Spreads all items. The service spreads fewer, to other positions, but in the same order. */
function makeRoom(working: Working) {
  const all = [...working.order, ...working.deleted.values()]
  all.sort((a, b) => (isAbove(a, b) ? -1 : 1))
  working.order = []
  all.forEach((item, n) => {
    const spread = { ...item, position: 1024 * (n + 1) }
    if (!working.items.has(item.id)) working.deleted.set(item.id, spread)
    else {
      working.items.set(item.id, spread)
      working.order.push(spread)
    }
  })
}

function setItem(working: Working, op: Of<'item.set'>, landed: Landed): Prediction {
  const { itemId } = op
  const isLanded = (field: string) => landed.has(itemId) || landed.has(`${itemId}.${field}`)
  const text = isLanded('text') ? undefined : op.set.text
  const done = isLanded('done') ? undefined : op.set.done
  const dueOn = isLanded('dueOn') ? undefined : op.set.dueOn
  if (!text && !done && !dueOn) return { itemIds: none }
  const live = working.items.get(itemId)
  const under = live ?? working.deleted.get(itemId)
  const itemIds = [itemId]
  if (!under) return { itemIds }

  const words = text ? decideText(working, itemId, 'text', under.text, text) : noop
  const dueOutcome = dueOn ? decideValue(under.dueOn, dueOn) : 'noop'
  const isTick = !done || done.to || done.to === under.done
  if (!live && words.outcome === 'noop' && dueOutcome === 'noop' && isTick)
    return { outcome: 'dropped', code: 'item_deleted', itemIds, under, isFinal: true }

  const isFull =
    (text && words.outcome === 'conflict' && !canKeep(working, itemId, 'text', text.to)) ||
    (dueOn && dueOutcome === 'conflict' && !canKeep(working, itemId, 'dueOn', dueOn.to)) ||
    (!live && (!canKeep(working, itemId, 'alive', null) || roomFor(working) < 1))

  const item = {
    ...under,
    text: words.value ?? under.text,
    done: done?.to ?? under.done,
    dueOn: dueOn && dueOutcome === 'applied' ? dueOn.to : under.dueOn
  }
  const kept: Field[] = []
  extend(working, words.extended, text?.to)
  if (!live) {
    putItem(working, item)
    openConflict(working, itemId, 'alive', under.text, item.text, null)
  } else update(working, live, item)
  if (words.outcome === 'kept') kept.push('text')
  if (text && words.outcome === 'conflict') {
    kept.push('text')
    openConflict(working, itemId, 'text', text.from, item.text, text.to)
  }
  if (dueOn && dueOutcome === 'conflict') {
    kept.push('dueOn')
    const own = ownConflicts(working, itemId, 'dueOn', dueOn.from)
    extend(working, own, dueOn.to)
    if (own.length === 0) openConflict(working, itemId, 'dueOn', dueOn.from, item.dueOn, dueOn.to)
  }

  const isNoop = words.extended.length === 0 && isEqual(item, under)
  return {
    ...(isFull
      ? rejected('limit')
      : {
          outcome:
            !live || kept.length > 0
              ? 'conflict'
              : isNoop
                ? 'noop'
                : words.outcome === 'merged'
                  ? 'merged'
                  : 'applied'
        }),
    itemIds,
    under,
    shown: shownItem(working, itemId)?.text,
    kept,
    isFinal: !live || (words.outcome === 'noop' && words.extended.length > 0)
  }
}

const isEqual = (a: Item, b: Item) => a.text === b.text && a.done === b.done && a.dueOn === b.dueOn

interface Change<Value> {
  from: Value
  to: Value
}

interface Decision {
  outcome: 'noop' | 'applied' | 'merged' | 'conflict' | 'kept'
  /** the new live value */
  value?: string
  /** the conflicts whose kept value the edit changes */
  extended: readonly Conflict[]
}

const noop: Decision = { outcome: 'noop', extended: none }

function decideValue<Value>(live: Value, { from, to }: Change<Value>) {
  if (live === to || from === to) return 'noop'
  return live === from ? 'applied' : 'conflict'
}

function decideText(
  working: Working,
  itemId: string | null,
  field: 'text' | 'title',
  live: string,
  edit: Change<string>
): Decision {
  const { from, to } = edit
  const outcome = decideValue(live, edit)
  if (outcome === 'applied') return { outcome, value: to, extended: none }
  const extended = from === to ? none : ownConflicts(working, itemId, field, from)
  if (outcome === 'noop') return { outcome, extended }
  if (extended.length > 0) return { outcome: 'kept', extended }
  const value = mergeText(from, live, to)?.value
  if (value === undefined || !isStorable(field, value)) return { outcome, extended }
  return value === live ? noop : { outcome: 'merged', value, extended }
}

/** Returns the open conflicts that keep a value of this user. An edit that starts from it changes the kept value. */
function ownConflicts(
  { conflicts, userId }: Working,
  itemId: string | null,
  field: Field,
  from: unknown
): Conflict[] {
  return [...conflicts.values()].filter(
    conflict =>
      conflict.itemId === itemId &&
      conflict.field === field &&
      conflict.theirs === from &&
      conflict.theirsBy === userId
  )
}

function extend({ conflicts }: Working, extended: readonly Conflict[], theirs: unknown) {
  for (const conflict of extended) {
    if (conflict.ours === theirs) conflicts.delete(conflict.id)
    else conflicts.set(conflict.id, { ...conflict, theirs })
  }
}

function canKeep({ conflicts }: Working, itemId: string | null, field: Field, theirs: unknown) {
  const ofItem = [...conflicts.values()].filter(conflict => conflict.itemId === itemId)
  return (
    (conflicts.size < maximum.conflictsPerChecklist && ofItem.length < maximum.conflictsPerItem) ||
    ofItem.some(conflict => conflict.field === field && conflict.theirs === theirs)
  )
}

function openConflict(
  { conflicts, userId }: Working,
  itemId: string | null,
  field: Field,
  base: unknown,
  ours: unknown,
  theirs: unknown
) {
  const isOpen = [...conflicts.values()].some(
    conflict => conflict.itemId === itemId && conflict.field === field && conflict.theirs === theirs
  )
  if (isOpen) return
  const id = `predicted ${conflicts.size} ${itemId} ${field} ${theirs}`
  conflicts.set(id, {
    ...{ id, itemId, field, base, ours, theirs },
    oursBy: null,
    theirsBy: userId,
    openedRev: PREDICTED
  })
}

/** Writes an item, and copies its values to its open conflicts, as the trigger `follow_item` does. */
function update(working: Working, old: Item, item: Item) {
  putItem(working, item)
  if (item.text !== old.text) follow(working, item.id, ['text', 'alive'], item.text)
  if (item.dueOn !== old.dueOn) follow(working, item.id, ['dueOn'], item.dueOn)
}

function follow(
  { conflicts, userId }: Working,
  itemId: string | null,
  fields: Field[],
  ours: unknown
) {
  for (const conflict of conflicts.values()) {
    if (conflict.itemId !== itemId || !fields.includes(conflict.field)) continue
    if (conflict.theirs === ours) conflicts.delete(conflict.id)
    else conflicts.set(conflict.id, { ...conflict, ours, oursBy: userId })
  }
}

function moveItem(working: Working, op: Of<'item.move'>, landed: Landed): Prediction {
  const { itemId, after } = op
  if (landed.has(`${itemId}.position`)) return { itemIds: none }
  const item = working.items.get(itemId)
  const itemIds = [itemId]
  if (!item)
    return working.deleted.has(itemId)
      ? { outcome: 'dropped', code: 'item_deleted', itemIds }
      : { itemIds }
  const anchor = placeOf(working, after)
  if (anchor && itemBelow(working.order, anchor)?.id === itemId) return { outcome: 'noop', itemIds }
  const { start, isKnown } = findPlace(working, after, 1, new Set(itemIds))
  const moved = working.items.get(itemId) ?? item
  putItem(working, { ...moved, position: start })
  return {
    outcome: !isKnown ? undefined : start === item.position ? 'noop' : 'applied',
    itemIds
  }
}

function removeItem(working: Working, op: Of<'item.delete'>, landed: Landed): Prediction {
  const { itemId, seen } = op
  if (landed.has(itemId)) return { itemIds: none }
  const item = working.items.get(itemId)
  const itemIds = [itemId]
  if (!item) return working.deleted.has(itemId) ? { outcome: 'noop', itemIds } : { itemIds }
  if (item.text === seen.text && item.dueOn === seen.dueOn && (item.done || !seen.done)) {
    removeWithConflicts(working, itemId)
    return { outcome: 'applied', itemIds }
  }
  if (!canKeep(working, itemId, 'alive', null)) return rejected('limit', itemId)
  openConflict(working, itemId, 'alive', seen.text, item.text, null)
  return { outcome: 'conflict', itemIds }
}

function removeWithConflicts(working: Working, id: string) {
  deleteItem(working, id)
  for (const conflict of working.conflicts.values())
    if (conflict.itemId === id) working.conflicts.delete(conflict.id)
}

function restoreItem(working: Working, op: Of<'item.restore'>, landed: Landed): Prediction {
  const { itemId } = op
  if (landed.has(itemId)) return { itemIds: none }
  const itemIds = [itemId]
  if (working.items.has(itemId)) return { outcome: 'noop', itemIds }
  const item = working.deleted.get(itemId)
  if (roomFor(working) < 1) return rejected('limit', itemId)
  if (!item) return { itemIds }
  putItem(working, item)
  return { outcome: 'applied', itemIds }
}

function rename(working: Working, op: Of<'list.rename'>, landed: Landed): Prediction {
  if (landed.has('title')) return { itemIds: none }
  const { title } = working
  const { outcome, value, extended } = decideText(working, null, 'title', title, op)
  const isFull = outcome === 'conflict' && !canKeep(working, null, 'title', op.to)
  extend(working, extended, op.to)
  if (value !== undefined) {
    working.title = value
    follow(working, null, ['title'], value)
  }
  if (outcome === 'conflict') openConflict(working, null, 'title', op.from, title, op.to)
  const isKept = outcome === 'conflict' || outcome === 'kept'
  return {
    ...(isFull ? rejected('limit') : { outcome: isKept ? 'conflict' : outcome, itemIds: none }),
    under: { id: '', text: title, done: false, dueOn: null, position: 0 },
    shown: shownTitle(working),
    kept: isKept ? ['title'] : none,
    isFinal: outcome === 'noop' && extended.length > 0
  }
}

function resolve(
  working: Working,
  op: Of<'conflict.resolve'> & { values?: Partial<Record<Field, unknown>> }
): Prediction {
  const { choice, values = {}, newItemId } = op
  const conflict = working.conflicts.get(op.conflictId)
  if (!conflict) return { outcome: 'noop', code: 'already_resolved', itemIds: none }
  const { id, itemId, field, theirs } = conflict
  const itemIds = itemId === null ? [] : [itemId]
  const isAlive = choice === 'keep' || choice === 'delete'
  if (
    (field === 'alive') !== isAlive ||
    (choice === 'both' && field !== 'text') ||
    (choice === 'custom' && values[field] === undefined)
  )
    return rejected('invalid', ...itemIds)
  const item = itemId === null ? undefined : working.items.get(itemId)
  const live = field === 'title' ? working.title : field === 'dueOn' ? item?.dueOn : item?.text
  if (live !== op.seen) return rejected('stale', ...itemIds)

  if (choice === 'both') {
    const added = { itemId: newItemId as string, text: theirs as string }
    const add = { opId: op.opId, kind: 'item.add', after: itemId, items: [added] } as const
    const { outcome, code } = addItems(working, { ...add, items: [added] }, new Set())
    if (outcome !== 'applied') return rejected(code ?? 'invalid', ...itemIds)
    itemIds.push(added.itemId)
  }
  working.conflicts.delete(id)
  if (choice === 'delete') removeWithConflicts(working, itemId as string)
  if (choice === 'theirs' || choice === 'custom') {
    const chosen = choice === 'theirs' ? theirs : values[field]
    if (item) update(working, item, { ...item, [field]: chosen })
    else {
      working.title = chosen as string
      follow(working, null, ['title'], chosen)
    }
  }
  return { outcome: 'applied', itemIds }
}
