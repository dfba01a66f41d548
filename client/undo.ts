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
   * Returns the operations that take the last recorded operation back, to be applied in order and not recorded. Returns
   * null when another user has changed the same since, or when there is nothing to undo; the step is then given up.
   */
  undo(working: Working): NewOperation[] | null
  /** Returns the operations that take the last undo back, as `undo` does. */
  redo(working: Working): NewOperation[] | null
  canUndo(): boolean
  canRedo(): boolean
}

// Edits of one field that follow each other within this time are one step.
const stepMs = 1000

type Fields = Extract<Operation, { kind: 'item.set' }>['set']
type Text = { from: string; to: string }
type Values = Pick<Item, 'id' | 'text' | 'done' | 'dueOn'>

/** What an operation has changed, as the user saw it. */
type Step =
  | { kind: 'set'; id: string; set: Fields }
  | { kind: 'add'; items: Values[] }
  | { kind: 'remove'; item: Item; above: string | null; below?: string }
  | { kind: 'move'; id: string; above: string | null }
  | { kind: 'rename'; set: { title: Text } }
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
    to.push(back)
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
  if (!last || !('set' in last) || !('set' in next) || idOf(last) !== idOf(next)) return false
  const [old, ...others] = Object.entries(last.set)
  const [edit, ...more] = Object.entries(next.set)
  if (!old || !edit || others.length + more.length > 0) return false
  if (old[0] !== edit[0] || old[1].to !== edit[1].from) return false
  last.set = { [old[0]]: { from: old[1].from, to: edit[1].to } } as never
  if (old[1].from === edit[1].to) done.pop()
  return true
}

const idOf = (step: Step) => ('id' in step ? step.id : null)

/** Returns what an operation will change, or nothing. */
function stepOf(sent: Operation, working: Working): Step[] {
  const checked = checkOnce(sent)
  if ('code' in checked) return []
  const { op } = checked
  if (working.isDeleted && op.kind !== 'list.restore') return []
  const item = 'itemId' in op && op.itemId ? shownItem(working, op.itemId) : undefined
  if (op.kind === 'item.add')
    return [
      {
        kind: 'add',
        items: (op.items ?? []).map(({ itemId: id, text, done = false, dueOn = null }) => ({
          ...{ id, text, done, dueOn }
        }))
      }
    ]
  if (op.kind === 'item.restore') {
    const deleted = working.deleted.get(op.itemId)
    return deleted && !item ? [{ kind: 'add', items: [deleted] }] : []
  }
  if (op.kind === 'list.rename')
    return op.from === op.to
      ? []
      : [{ kind: 'rename', set: { title: { from: op.from, to: op.to } } }]
  if (op.kind === 'list.delete' || op.kind === 'list.restore')
    return op.kind === 'list.delete' || working.isDeleted ? [{ kind: op.kind }] : []
  if (!item) return []
  const { id } = item
  const above = itemAbove(working, item)
  if (op.kind === 'item.delete')
    return [{ kind: 'remove', item, above, below: itemBelow(working.order, item)?.id }]
  if (op.kind === 'item.move') {
    const anchor = placeOf(working, op.after)
    if (!anchor) return []
    const isLive = working.items.has(anchor.id)
    const next = isLive ? anchor.id : itemAbove(working, anchor, new Set([id]))
    return next === above ? [] : [{ kind: 'move', id, above }]
  }
  if (op.kind !== 'item.set') return []
  const set = Object.fromEntries(Object.entries(op.set).filter(([, { from, to }]) => from !== to))
  return Object.keys(set).length > 0 ? [{ kind: 'set', id, set }] : []
}

/** Returns the operations that take a step back, none when another user has changed the same. */
function invert(step: Step, working: Working): NewOperation[] {
  switch (step.kind) {
    case 'set': {
      const { id: itemId } = step
      const live = shownItem(working, itemId)
      if (!live) return []
      const { text, done, dueOn } = step.set
      const textBack = text && takeBack('text', text, live.text)
      const set = {
        ...(textBack && { text: textBack }),
        ...(done && done.to === live.done && { done: reversed(done) }),
        ...(dueOn && dueOn.to === live.dueOn && { dueOn: reversed(dueOn) })
      }
      return Object.keys(set).length > 0 ? [{ kind: 'item.set', itemId, set }] : []
    }
    case 'add':
      return step.items.flatMap(({ id: itemId, ...item }) => {
        const live = shownItem(working, itemId)
        if (!live || live.text !== item.text) return []
        if (live.done !== item.done || live.dueOn !== item.dueOn) return []
        // To delete the item would close its conflicts, in which others may have written.
        if ([...working.conflicts.values()].some(conflict => conflict.itemId === itemId)) return []
        const { text, done, dueOn } = live
        return { kind: 'item.delete', itemId, seen: { text, done, dueOn } } as const
      })
    case 'remove': {
      const { item, above, below } = step
      const { id: itemId, text, done, dueOn } = item
      if (working.items.has(itemId)) return []
      const place = working.deleted.get(itemId)
      // The service has never received an item that was added and deleted while it was unsent.
      if (!place)
        return [{ kind: 'item.add', items: [{ itemId, text, done, dueOn }], after: above }]
      // Another item may have come to the same position.
      const upper = above === null ? undefined : working.items.get(above)
      const lower = below === undefined ? undefined : working.items.get(below)
      const isMisplaced = (upper && !isAbove(upper, place)) || (lower && !isAbove(place, lower))
      return [
        { kind: 'item.restore', itemId },
        ...(isMisplaced ? [{ kind: 'item.move', itemId, after: above } as const] : [])
      ]
    }
    case 'move': {
      const { id: itemId, above: after } = step
      const item = working.items.get(itemId)
      if (!item || itemAbove(working, item) === after || !placeOf(working, after)) return []
      return [{ kind: 'item.move', itemId, after }]
    }
    case 'rename': {
      const back = takeBack('title', step.set.title, shownTitle(working))
      return back ? [{ kind: 'list.rename', ...back }] : []
    }
    case 'list.delete':
      return working.isDeleted ? [{ kind: 'list.restore' }] : []
    case 'list.restore':
      return working.isDeleted ? [] : [{ kind: 'list.delete', seenRev: working.confirmed.rev }]
  }
}

const reversed = <Value>({ from, to }: { from: Value; to: Value }) => ({ from: to, to: from })

/** Takes an edit of a text back, in the text as it is now. Returns undefined when it cannot, or need not. */
function takeBack(field: 'text' | 'title', { from, to }: Text, live: string): Text | undefined {
  const value = mergeText(to, live, from)?.value
  if (value === undefined || value === live || !isStorable(field, value)) return
  return { from: live, to: value }
}
