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
  /**
   * Open conflicts by id: those of the service, and the predicted ones. Of these, only the value of this user is shown,
   * with later edits of the live text as `shown`.
   */
  conflicts: Map<string, Conflict & { shown?: string }>
  /** by `opId` */
  predictions: Map<string, Prediction>
}

/** The expected decision of the service about an operation. */
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
  const { items, order, deleted, conflicts, title, isDeleted } = confirmed
  const state = { items, order, deleted, conflicts, title, isDeleted }
  const working = fork({ ...state, confirmed, userId, predictions: new Map() })
  for (const entry of entries) applyOne(working, entry)
  return working
}

/** Returns a copy, to which operations can be applied without changing the original. */
export function fork(working: Working): Working {
  return {
    ...working,
    ...copyRows(working),
    conflicts: new Map(working.conflicts),
    predictions: new Map(working.predictions)
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

/** the lines of items that are shown as they are; most lines of a long checklist */
const plainLines = new WeakMap<Item, Line>()

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
  let old: Map<string, Line> | undefined
  const lines = working.order.map(item => {
    const { id } = item
    const mark = marks.get(id) ?? 'saved'
    const isPlain = !kept.has(id) && !conflicts.has(id) && !people.has(id)
    const known = isPlain && plainLines.get(item)
    if (known && known.mark === mark) return known

    old ??= new Map(previous.map(line => [line.id, line]))
    const before = old.get(id)
    const line = {
      ...item,
      ...kept.get(id),
      mark,
      conflicts: conflicts.get(id) ?? none,
      people: people.get(id) ?? none
    }
    const shown = before && isSameLine(before, line) ? before : line
    if (isPlain) plainLines.set(item, shown)
    return shown
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
  for (const { itemId, field, theirs, openedRev, shown = theirs } of conflicts.values())
    if (openedRev === PREDICTED && field !== 'alive')
      values.set(itemId, { ...values.get(itemId), [field]: shown })
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
  if ('code' in checked) return { itemIds: none, ...rejected(checked.code) }
  const { op } = checked
  const landed = new Set(working.confirmed.landed.get(op.opId))
  if (landed.has(partOf(op))) return { itemIds: none }
  const added = op.kind === 'item.add' ? (op.items ?? none) : [op as { itemId?: string }]
  const itemIds = added.flatMap(({ itemId = '' }) =>
    itemId === '' || landed.has(itemId) ? [] : itemId
  )
  // The service rejects operations on a deleted checklist, but they wait until it is restored.
  const isRefused = working.isDeleted && op.kind !== 'list.delete' && op.kind !== 'list.restore'
  const decided = decide(working, op, landed)
  return { itemIds, ...decided, ...(isRefused && rejected('list_deleted')) }
}

/** A prediction; without `itemIds`, they are those that the operation names. */
type Decided = Partial<Prediction>
type Landed = ReadonlySet<string>

function decide(working: Working, op: Operation, landed: Landed): Decided {
  const { isDeleted, confirmed } = working
  switch (op.kind) {
    case 'item.add':
      return addItems(working, op, landed)
    case 'item.set':
      return setItem(working, op, landed)
    case 'item.move':
      return moveItem(working, op)
    case 'item.delete':
      return removeItem(working, op)
    case 'item.restore':
      return restoreItem(working, op)
    case 'list.rename':
      return rename(working, op)
    case 'list.delete':
      if (isDeleted) return noop
      working.isDeleted = true
      // The changes since `seenRev` may be own ones.
      return op.force || confirmed.rev <= op.seenRev ? applied : unknown
    case 'list.restore':
      working.isDeleted = false
      return isDeleted ? applied : noop
    case 'list.restoreTo':
      return unknown
    case 'conflict.resolve':
      return resolve(working, op)
  }
}

/** Returns the part with which the whole operation has landed, if it has one. */
function partOf(op: Operation): string {
  if (op.kind === 'item.move') return `${op.itemId}.position`
  return op.kind === 'list.rename' ? 'title' : 'itemId' in op && op.itemId ? op.itemId : 'list'
}

const unknown: Decided = {}
const noop: Decided = { outcome: 'noop' }
const applied: Decided = { outcome: 'applied' }
const dropped: Decided = { outcome: 'dropped', code: 'item_deleted' }
const rejected = (code: Result['code']): Decided => ({ outcome: 'rejected', code })

// The functions below mirror those of sql/functions, from op_item_add to op_conflict_resolve. A value that exceeds a
// limit of conflicts is shown until the service has rejected it.

function addItems(working: Working, op: Of<'item.add'>, landed: Landed): Decided {
  const all = op.items ?? none
  const ids = all.map(({ itemId }) => itemId).filter(id => !landed.has(id))
  const known = ids.filter(id => placeOf(working, id)).length
  if (ids.length === 0) return unknown
  if (new Set(ids).size < ids.length || (known > 0 && known < ids.length))
    return rejected('invalid')
  if (known > 0) return noop
  if (ids.length > roomFor(working)) return rejected('limit')

  const { start, step, isKnown } = findPlace(working, op.after, all.length, landed)
  all.forEach(({ itemId: id, text, done = false, dueOn = null }, n) => {
    if (!landed.has(id)) putItem(working, { id, text, done, dueOn, position: start + step * n })
  })
  return isKnown ? applied : unknown
}

const roomFor = ({ items }: Rows) => maximum.itemsPerChecklist - items.size

/** Returns positions below an anchor. Below an unknown anchor they are at the end, because the service may know it. */
function findPlace(working: Working, anchor: string | null, many: number, skipped: Landed) {
  const isKnown = placeOf(working, anchor) !== undefined
  const find = () =>
    placeBelow(working, isKnown ? anchor : (working.order.at(-1)?.id ?? null), many, skipped)
  let place = find()
  if (!place?.fits) {
    makeRoom(working)
    place = find()
  }
  return { start: 0, step: 0, ...place, isKnown }
}

/** Spreads all items. The service spreads fewer, to other positions, but in the same order. */
function makeRoom({ items, order, deleted }: Working) {
  const all = [...order, ...deleted.values()].sort((a, b) => (isAbove(a, b) ? -1 : 1))
  order.length = 0
  all.forEach((item, n) => {
    const spread = { ...item, position: 1024 * (n + 1) }
    const isLive = items.has(item.id)
    ;(isLive ? items : deleted).set(item.id, spread)
    if (isLive) order.push(spread)
  })
}

/** Returns an edit of an unknown item as an operation that adds it. Returns undefined when no text was edited. */
export function asAdd(
  { opId, itemId, set: { text, done, dueOn } }: Of<'item.set'>,
  after: string | null
): Of<'item.add'> | undefined {
  const item = text && { itemId, text: text.to, done: done?.to, dueOn: dueOn?.to }
  return item && { opId, kind: 'item.add', after, items: [item] }
}

function setItem(working: Working, op: Of<'item.set'>, landed: Landed): Decided {
  const { itemId } = op
  const edits = Object.entries(op.set).filter(([field]) => !landed.has(`${itemId}.${field}`))
  const { text, done, dueOn }: Of<'item.set'>['set'] = Object.fromEntries(edits)
  if (edits.length === 0) return { itemIds: none }
  const live = working.items.get(itemId)
  const under = live ?? working.deleted.get(itemId)
  if (!under) {
    const add = asAdd(op, working.order.at(-1)?.id ?? null)
    if (add) addItems(working, add, landed)
    return unknown
  }

  const words = text ? decideText(working, itemId, 'text', under.text, text) : unchanged
  const dueOutcome = dueOn ? decideValue(under.dueOn, dueOn) : 'noop'
  const isTick = !done || done.to || done.to === under.done
  if (!live && words.outcome === 'noop' && dueOutcome === 'noop' && isTick)
    return { ...dropped, under, isFinal: true }

  const item = {
    ...under,
    text: words.value ?? under.text,
    done: done?.to ?? under.done,
    dueOn: dueOn && dueOutcome === 'applied' ? dueOn.to : under.dueOn
  }
  const isChanged =
    item.text !== under.text || item.done !== under.done || item.dueOn !== under.dueOn
  const kept: Field[] = []
  const isExtended = extend(working, words.extended, text?.to)
  let isFull = !live && roomFor(working) < 1
  const keep = (field: Field, { from, to }: Change<unknown>, ours: unknown) => {
    kept.push(field)
    if (!openConflict(working, itemId, field, from, ours, to)) isFull = true
  }
  if (live) update(working, live, item)
  else {
    putItem(working, item)
    keep('alive', { from: under.text, to: null }, item.text)
  }
  if (text && words.value !== undefined) carry(working, itemId, 'text', text)
  if (words.outcome === 'kept') kept.push('text')
  if (text && words.outcome === 'conflict') keep('text', text, item.text)
  if (dueOn && dueOutcome === 'conflict') {
    const own = ownConflicts(working, itemId, 'dueOn', dueOn.from)
    if (extend(working, own, dueOn.to)) kept.push('dueOn')
    else keep('dueOn', dueOn, item.dueOn)
  }

  const written =
    words.outcome === 'merged' ? 'merged' : isChanged || isExtended ? 'applied' : 'noop'
  return {
    outcome: isFull ? 'rejected' : kept.length > 0 ? 'conflict' : written,
    code: isFull ? 'limit' : undefined,
    under,
    shown: shownItem(working, itemId)?.text,
    kept,
    isFinal: !live || (words.outcome === 'noop' && isExtended)
  }
}

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

const unchanged: Decision = { outcome: 'noop', extended: none }

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
  const value = merge(field, live, edit)
  if (value === null) return { outcome, extended }
  return value === live ? unchanged : { outcome: 'merged', value, extended }
}

const merges = new WeakMap<Change<string>, { live: string; value: string | null }>()

/** Returns the merged text, or null for a conflict. Stores the last merge of an edit, because every replay needs it. */
function merge(field: 'text' | 'title', live: string, edit: Change<string>): string | null {
  let last = merges.get(edit)
  if (last?.live !== live) {
    const value = mergeText(edit.from, live, edit.to)?.value
    last = { live, value: value !== undefined && isStorable(field, value) ? value : null }
    merges.set(edit, last)
  }
  return last.value
}

/** Returns the open conflicts that keep a value beside the live one. */
function conflictsOf({ conflicts }: Working, itemId: string | null, field: Field, theirs: unknown) {
  return [...conflicts.values()].filter(
    conflict => conflict.itemId === itemId && conflict.field === field && conflict.theirs === theirs
  )
}

/** Returns the open conflicts that keep a value of this user. An edit that starts from it changes the kept value. */
function ownConflicts(working: Working, itemId: string | null, field: Field, from: unknown) {
  return conflictsOf(working, itemId, field, from).filter(
    ({ theirsBy }) => theirsBy === working.userId
  )
}

/** Changes the kept value of conflicts, and returns whether there are any. */
function extend({ conflicts }: Working, extended: readonly Conflict[], theirs: unknown): boolean {
  for (const conflict of extended) {
    if (conflict.ours === theirs) conflicts.delete(conflict.id)
    else conflicts.set(conflict.id, { ...conflict, theirs, shown: undefined })
  }
  return extended.length > 0
}

/** Makes an edit of the live text in the texts of predicted conflicts, too, which are shown in its place. */
function carry(
  { conflicts }: Working,
  itemId: string | null,
  field: Field,
  { from, to }: Change<string>
) {
  for (const conflict of conflicts.values()) {
    const { theirs, shown = `${theirs}`, openedRev } = conflict
    if (conflict.itemId === itemId && conflict.field === field && openedRev === PREDICTED)
      conflicts.set(conflict.id, { ...conflict, shown: mergeText(from, shown, to)?.value ?? to })
  }
}

/** Predicts a conflict, unless there is the same already. Returns false when the service has too many to open it. */
function openConflict(
  working: Working,
  itemId: string | null,
  field: Field,
  base: unknown,
  ours: unknown,
  theirs: unknown
): boolean {
  const { conflicts, userId } = working
  if (conflictsOf(working, itemId, field, theirs).length > 0) return true
  const ofItem = [...conflicts.values()].filter(conflict => conflict.itemId === itemId).length
  const isAllowed =
    conflicts.size < maximum.conflictsPerChecklist && ofItem < maximum.conflictsPerItem
  const id = `predicted ${conflicts.size} ${itemId} ${field} ${theirs}`
  const by = { oursBy: null, theirsBy: userId, openedRev: PREDICTED }
  conflicts.set(id, { id, itemId, field, base, ours, theirs, ...by })
  return isAllowed
}

/** Writes an item, and copies its values to its open conflicts, as the trigger `follow_item` does. */
function update(working: Working, old: Item, item: Item) {
  putItem(working, item)
  if (item.text !== old.text) follow(working, item.id, ['text', 'alive'], item.text)
  if (item.dueOn !== old.dueOn) follow(working, item.id, ['dueOn'], item.dueOn)
}

function setTitle(working: Working, title: string) {
  working.title = title
  follow(working, null, ['title'], title)
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

function moveItem(working: Working, { itemId, after }: Of<'item.move'>): Decided {
  const { items, order, deleted } = working
  const item = items.get(itemId)
  if (!item) return deleted.has(itemId) ? dropped : unknown
  const anchor = placeOf(working, after)
  if (anchor && itemBelow(order, anchor)?.id === itemId) return noop
  const { start: position, isKnown } = findPlace(working, after, 1, new Set([itemId]))
  putItem(working, { ...(items.get(itemId) ?? item), position })
  return !isKnown ? unknown : position === item.position ? noop : applied
}

function removeItem(working: Working, { itemId, seen }: Of<'item.delete'>): Decided {
  const item = working.items.get(itemId)
  if (!item) return working.deleted.has(itemId) ? noop : unknown
  if (item.text === seen.text && item.dueOn === seen.dueOn && (item.done || !seen.done)) {
    removeWithConflicts(working, itemId)
    return applied
  }
  const isOpen = openConflict(working, itemId, 'alive', seen.text, item.text, null)
  return isOpen ? { outcome: 'conflict' } : rejected('limit')
}

function removeWithConflicts(working: Working, id: string) {
  deleteItem(working, id)
  for (const conflict of working.conflicts.values())
    if (conflict.itemId === id) working.conflicts.delete(conflict.id)
}

function restoreItem(working: Working, { itemId }: Of<'item.restore'>): Decided {
  const item = working.deleted.get(itemId)
  if (working.items.has(itemId)) return noop
  if (roomFor(working) < 1) return rejected('limit')
  if (!item) return unknown
  putItem(working, item)
  return applied
}

function rename(working: Working, op: Of<'list.rename'>): Decided {
  const { title } = working
  const { outcome, value, extended } = decideText(working, null, 'title', title, op)
  const isExtended = extend(working, extended, op.to)
  if (value !== undefined) {
    setTitle(working, value)
    carry(working, null, 'title', op)
  }
  const isConflict = outcome === 'conflict'
  const isFull = isConflict && !openConflict(working, null, 'title', op.from, title, op.to)
  const isKept = isConflict || outcome === 'kept'
  return {
    outcome: isFull ? 'rejected' : isKept ? 'conflict' : outcome,
    code: isFull ? 'limit' : undefined,
    under: { id: '', text: title, done: false, dueOn: null, position: 0 },
    shown: shownTitle(working),
    kept: isKept ? ['title'] : none,
    isFinal: outcome === 'noop' && isExtended
  }
}

function resolve(
  working: Working,
  op: Of<'conflict.resolve'> & { values?: Partial<Record<Field, unknown>> }
): Decided {
  const { opId, choice, values = {}, newItemId = '' } = op
  const conflict = working.conflicts.get(op.conflictId)
  if (!conflict) return { ...noop, code: 'already_resolved' }
  const { id, itemId, field, theirs } = conflict
  const itemIds = itemId === null ? [] : [itemId]
  if (
    (field === 'alive') !== (choice === 'keep' || choice === 'delete') ||
    (choice === 'both' && field !== 'text') ||
    (choice === 'custom' && values[field] === undefined)
  )
    return { ...rejected('invalid'), itemIds }
  const item = working.items.get(`${itemId}`)
  const live = field === 'title' ? working.title : field === 'dueOn' ? item?.dueOn : item?.text
  if (live !== op.seen) return { ...rejected('stale'), itemIds }

  if (choice === 'both') {
    const items = [{ itemId: newItemId, text: `${theirs}` }]
    const add = { opId, kind: 'item.add', after: itemId, items } as const
    const { outcome, code } = addItems(working, add, new Set())
    if (outcome !== 'applied') return { ...rejected(code ?? 'invalid'), itemIds }
    itemIds.push(newItemId)
  }
  working.conflicts.delete(id)
  if (choice === 'delete') removeWithConflicts(working, `${itemId}`)
  if (choice === 'theirs' || choice === 'custom') {
    const chosen = choice === 'theirs' ? theirs : values[field]
    if (item) update(working, item, { ...item, [field]: chosen })
    else setTitle(working, `${chosen}`)
  }
  return { ...applied, itemIds }
}
