import { isStorable } from '../lib/check-operation.ts'
import { mergeText } from '../lib/merge-text.ts'
import { isAbove, itemAbove, itemBelow, placeOf } from './place.ts'
import { applyOne, checkOnce, fork, shownItem, shownTitle, type Working } from './replay.ts'
import type { Item, Operation } from './types.ts'

/** An operation without its `opId`, which the caller adds. */
export type NewOperation = Operation extends infer Op
  ? Op extends Operation
    ? Omit<Op, 'opId'>
    : never
  : never

export interface Undo {
  /** Records an operation of the user, before it is applied to `working`. Nothing can be redone from then on. */
  record(op: Operation, working: Working, now: number): void
  /**
   * Returns the operations that undo the last recorded operation, to be applied in order and not recorded. Returns null
   * when another user has changed the same since, or when there is nothing to undo. Then the step is dropped.
   */
  undo(working: Working): NewOperation[] | null
  /** Returns the operations that redo the last undone operation, as `undo` does. */
  redo(working: Working): NewOperation[] | null
  canUndo(): boolean
  canRedo(): boolean
}

// Edits of one field that follow each other within this time are one step.
const stepMs = 1000

/** The fields that an operation sets: of an item, or the title. */
type Fields = Record<string, { from: unknown; to: unknown }>
type Values = Pick<Item, 'id' | 'text' | 'done' | 'dueOn'>

/** The changes of one operation, as the user saw them. */
type Step =
  /** `id` is null for the title */
  | { kind: 'set'; id: string | null; set: Fields }
  | { kind: 'add'; items: Values[] }
  | { kind: 'remove'; item: Item; above: string | null; below?: string }
  | { kind: 'move'; id: string; above: string | null }
  | { kind: 'list.delete' | 'list.restore' }

/** Returns the steps of one user on one checklist: the last `limit` ones. */
export function createUndo(limit = 200): Undo {
  const done: Step[][] = []
  const undone: Step[][] = []
  let lastAt = -Infinity

  function take(from: Step[][], to: Step[][], working: Working) {
    lastAt = -Infinity
    const scratch = fork(working)
    const ops: NewOperation[] = []
    const back: Step[] = []
    for (const step of from.pop()?.reverse() ?? []) {
      for (const op of invert(step, scratch)) {
        const whole = { ...op, opId: '' } as Operation
        back.push(...stepOf(whole, scratch))
        applyOne(scratch, { op: whole })
        ops.push(op)
      }
    }
    if (ops.length === 0) return null
    if (back.length > 0) to.push(back)
    return ops
  }

  return {
    record(op, working, now) {
      const steps = stepOf(op, working)
      if (steps.length === 0) return
      undone.length = 0
      const isSoon = now - lastAt < stepMs
      lastAt = now
      if (isSoon && extend(done, steps[0] as Step)) return
      done.push(steps)
      if (done.length > limit) done.shift()
    },
    undo: working => take(done, undone, working),
    redo: working => take(undone, done, working),
    canUndo: () => done.length > 0,
    canRedo: () => undone.length > 0
  }
}

/** Makes an edit part of the last step, when both are edits of the same field. Returns whether it has. */
function extend(done: Step[][], next: Step): boolean {
  const [last] = done.at(-1) ?? []
  if (last?.kind !== 'set' || next.kind !== 'set' || last.id !== next.id) return false
  const [[field = '', edit], ...more] = Object.entries(next.set) as [[string, Fields[string]]]
  const old = last.set[field]
  if (more.length > 0 || Object.keys(last.set).length > 1 || old?.to !== edit.from) return false
  last.set = { [field]: { ...edit, from: old?.from } }
  if (old?.from === edit.to) done.pop()
  return true
}

/** Returns what an operation will change, or nothing. */
function stepOf(sent: Operation, working: Working): Step[] {
  const checked = checkOnce(sent)
  if ('code' in checked || (working.isDeleted && sent.kind !== 'list.restore')) return []
  const { op } = checked
  const item = 'itemId' in op && op.itemId ? shownItem(working, op.itemId) : undefined
  const above = item ? itemAbove(working, item) : null
  switch (op.kind) {
    case 'item.add':
      return [{ kind: 'add', items: (op.items ?? []).map(toValues) }]
    case 'item.restore': {
      const deleted = working.deleted.get(op.itemId)
      return deleted && !item ? [{ kind: 'add', items: [deleted] }] : []
    }
    case 'item.delete':
      if (!item) return []
      return [{ kind: 'remove', item, above, below: itemBelow(working.order, item)?.id }]
    case 'item.move': {
      const anchor = placeOf(working, op.after)
      if (!item || !anchor) return []
      const { id } = item
      const isLive = working.items.has(anchor.id)
      const next = isLive ? anchor.id : itemAbove(working, anchor, new Set([id]))
      return next === above ? [] : [{ kind: 'move', id, above }]
    }
    case 'item.set':
      return item ? setStep(item.id, op.set) : []
    case 'list.rename':
      return setStep(null, { title: op })
    case 'list.delete':
      return [{ kind: op.kind }]
    case 'list.restore':
      return working.isDeleted ? [{ kind: op.kind }] : []
    default:
      return []
  }
}

const toValues = ({ itemId, text, done = false, dueOn = null }: NewItem): Values => ({
  ...{ id: itemId, text, done, dueOn }
})
type NewItem = { itemId: string; text: string; done?: boolean; dueOn?: string | null }

function setStep(id: string | null, fields: Fields): Step[] {
  const set: Fields = {}
  for (const [field, { from, to }] of Object.entries(fields))
    if (from !== to) set[field] = { from, to }
  return Object.keys(set).length > 0 ? [{ kind: 'set', id, set }] : []
}

/** Returns the operations that undo a step, none when another user has changed the same. */
function invert(step: Step, working: Working): NewOperation[] {
  const { items, deleted, conflicts, isDeleted, confirmed } = working
  switch (step.kind) {
    case 'set': {
      const { id } = step
      const live = id === null ? { title: shownTitle(working) } : shownItem(working, id)
      const set = live ? takeBack(step.set, { ...live }) : {}
      if (Object.keys(set).length === 0) return []
      const op =
        id === null ? { kind: 'list.rename', ...set.title } : { kind: 'item.set', itemId: id, set }
      return [op as NewOperation]
    }
    case 'add':
      return step.items.flatMap(({ id: itemId, text, done, dueOn }) => {
        const live = shownItem(working, itemId)
        const isSame = live?.text === text && live.done === done && live.dueOn === dueOn
        // To delete the item would close its conflicts, in which others may have written.
        if (!isSame || [...conflicts.values()].some(conflict => conflict.itemId === itemId))
          return []
        return { kind: 'item.delete', itemId, seen: { text, done, dueOn } } as const
      })
    case 'remove': {
      const { item, above: after, below } = step
      const { id: itemId, text, done, dueOn } = item
      const place = deleted.get(itemId)
      if (items.has(itemId)) return []
      // The service has never received an item that was added and deleted while it was unsent.
      if (!place) return [{ kind: 'item.add', items: [{ itemId, text, done, dueOn }], after }]
      // Another item may have come to the same position.
      const upper = items.get(`${after}`)
      const lower = items.get(`${below}`)
      const isMisplaced = (upper && !isAbove(upper, place)) || (lower && !isAbove(place, lower))
      const restore: NewOperation = { kind: 'item.restore', itemId }
      return isMisplaced ? [restore, { kind: 'item.move', itemId, after }] : [restore]
    }
    case 'move': {
      const { id: itemId, above: after } = step
      const item = items.get(itemId)
      if (!item || itemAbove(working, item) === after || !placeOf(working, after)) return []
      return [{ kind: 'item.move', itemId, after }]
    }
    case 'list.delete':
      return isDeleted ? [{ kind: 'list.restore' }] : []
    case 'list.restore':
      return isDeleted ? [] : [{ kind: 'list.delete', seenRev: confirmed.rev }]
  }
}

/**
 * Returns the edits that undo edits. In a text they change only the words of this user. They change another value only
 * when it is still the same.
 */
function takeBack(set: Fields, live: Record<string, unknown>): Fields {
  const back: Fields = {}
  for (const [field, { from, to }] of Object.entries(set)) {
    const now = live[field]
    let value = now === to ? from : now
    if (field === 'text' || field === 'title') {
      value = mergeText(`${to}`, `${now}`, `${from}`)?.value ?? now
      if (!isStorable(field, `${value}`)) continue
    }
    if (value !== now) back[field] = { from: now, to: value }
  }
  return back
}
