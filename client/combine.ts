import { checkOnce, type Prediction, type Working } from './replay.ts'
import type { Entry } from './storage.ts'
import type { Operation } from './types.ts'

/** An unsent entry, and the operation that replaces its operation. With null the entry is deleted. */
export interface Combined {
  entry: Entry
  into: Operation | null
}

type Of<Kind extends Operation['kind']> = Extract<Operation, { kind: Kind }>

/**
 * Returns how a new operation combines with an earlier one that was never sent, or undefined when it must be added to the
 * queue. `entries` are those of the checklist; `working` is their replay, without the new operation. The combined
 * operation takes the place of the earlier one, so the new operation must give the same result before the entries that
 * are in between.
 */
export function combine(
  entries: readonly Entry[],
  { predictions }: Working,
  op: Operation
): Combined | undefined {
  // The service must reject an invalid operation alone.
  if ('code' in checkOnce(op)) return
  for (let index = entries.length - 1; index >= 0; index--) {
    const entry = entries[index] as Entry
    if (entry.isSent) return
    const prediction = predictions.get(entry.op.opId)
    if (!prediction) return
    const into = combineWith(entry.op, prediction, op)
    if (into !== undefined) return { entry, into }
    if (!areIndependent(entry.op, prediction, op)) return
  }
}

/** Returns undefined when the two operations do not combine. */
function combineWith(
  old: Operation,
  prediction: Prediction,
  op: Operation
): Operation | null | undefined {
  const { outcome, isFinal } = prediction
  if (isFinal || outcome === 'rejected') return
  const { opId, at } = op
  if (old.kind === 'list.rename' && op.kind === old.kind) {
    const from = startOf('title', old.from, prediction)
    return from === op.to ? null : { ...op, from }
  }
  if (old.kind === 'item.move' && op.kind === old.kind && old.itemId === op.itemId) return op
  if (old.kind === 'item.set' && op.kind === old.kind && old.itemId === op.itemId) {
    const set = combineSets(old.set, op.set, prediction)
    return Object.keys(set).length > 0 ? { ...op, set } : null
  }
  if (old.kind !== 'item.add' || outcome === 'noop') return
  if (op.kind === 'item.set') {
    const changed = <Added extends { itemId?: string }>(item: Added): Added => {
      const { text, done, dueOn } = op.set
      return {
        ...item,
        ...(text && { text: text.to }),
        ...(done && { done: done.to }),
        ...(dueOn && { dueOn: dueOn.to })
      }
    }
    if (old.itemId === op.itemId) return { ...changed(old), opId, at }
    if (old.items?.some(({ itemId }) => itemId === op.itemId)) {
      const items = old.items.map(item => (item.itemId === op.itemId ? changed(item) : item))
      return { ...old, opId, at, items }
    }
  }
  if (op.kind === 'item.delete') {
    if (old.itemId === op.itemId) return null
    const items = old.items?.filter(({ itemId }) => itemId !== op.itemId)
    if (items && items.length < (old.items?.length ?? 0))
      return items.length > 0 ? { ...old, opId, at, items } : null
  }
}

type Fields = Of<'item.set'>['set']

function combineSets(old: Fields, fields: Fields, prediction: Prediction): Fields {
  const set: Record<string, { from: unknown; to: unknown }> = { ...old }
  for (const [field, { from, to }] of Object.entries(fields)) {
    const start = field in old ? startOf(field as keyof Fields, set[field]?.from, prediction) : from
    if (start === to) delete set[field]
    else set[field] = { from: start, to }
  }
  return set as Fields
}

/**
 * Returns the value from which a combined edit starts: the live value under the earlier edit, so that the words of others
 * that came in since do not count as written by this user; or where the earlier edit started, when its value is kept in a
 * conflict.
 */
function startOf(field: keyof Fields | 'title', from: unknown, { kept, under }: Prediction) {
  if (!under || kept?.some(one => one === field)) return from as string
  return (field === 'title' ? under.text : under[field]) as string
}

/** Returns whether an operation gives the same result before and after an earlier one. */
function areIndependent(old: Operation, { itemIds }: Prediction, op: Operation): boolean {
  if (old.kind === 'list.rename') return op.kind.startsWith('item.')
  if (old.kind.startsWith('list.')) return false
  if (op.kind === 'list.rename') return old.kind !== 'conflict.resolve'
  if (op.kind === 'item.set')
    return old.kind === 'item.move' || (itemIds.length > 0 && !itemIds.includes(op.itemId))
  return (
    op.kind === 'item.delete' &&
    itemIds.length > 0 &&
    !itemIds.includes(op.itemId) &&
    !('after' in old && old.after === op.itemId)
  )
}
