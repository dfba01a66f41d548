import { checkOnce, type Prediction, type Working } from './replay.ts'
import type { Entry } from './storage.ts'
import type { Operation } from './types.ts'

/** An unsent entry, and the operation that replaces its operation. With null the entry is deleted. */
export interface Combined {
  entry: Entry
  into: Operation | null
}

type Of<Kind extends Operation['kind']> = Extract<Operation, { kind: Kind }>
type Fields = Of<'item.set'>['set']

/**
 * Returns how a new operation combines with an earlier one that was never sent, or undefined when it must be added to
 * the queue. `entries` are those of the checklist; `working` is their replay, without the new operation. The combined
 * operation takes the place of the earlier one, so the new operation must give the same result before the entries that
 * are in between.
 */
export function combine(
  entries: readonly Entry[],
  { predictions }: Working,
  op: Operation
): Combined | undefined {
  for (let index = entries.length - 1; index >= 0; index--) {
    const entry = entries[index] as Entry
    const prediction = predictions.get(entry.op.opId)
    if (entry.isSent || !prediction) return
    const old = checkOnce(entry.op)
    const next = checkOnce(op)
    // The service must reject an invalid operation alone.
    if ('code' in old || 'code' in next) return
    const into = combineWith(old.op, prediction, next.op)
    if (into !== undefined) return { entry, into }
    if (!areIndependent(old.op, prediction, next.op)) return
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
  if (old.kind === 'list.rename' && op.kind === old.kind) {
    const from = startOf('title', old, op.from, prediction)
    if (from === undefined) return
    return from === op.to ? null : { ...op, from }
  }
  if (old.kind === 'item.move' && op.kind === old.kind && old.itemId === op.itemId) return op
  if (old.kind === 'item.set' && op.kind === old.kind && old.itemId === op.itemId) {
    const set: Record<string, { from: unknown; to: unknown }> = { ...old.set }
    for (const [field, { from, to }] of Object.entries(op.set)) {
      const earlier = set[field]
      const start = earlier ? startOf(field as keyof Fields, earlier, from, prediction) : from
      if (start === undefined) return
      set[field] = { from: start, to }
      if (start === to) delete set[field]
    }
    return isEmpty(set) ? null : { ...op, set: set as Fields }
  }
  if (old.kind !== 'item.add' || outcome === 'noop') return
  const { opId, at } = op
  const all = old.items ?? []
  if (op.kind !== 'item.set' && op.kind !== 'item.delete') return
  const added = all.find(({ itemId }) => itemId === op.itemId)
  if (!added) return
  if (op.kind === 'item.set' && op.set.text && op.set.text.from !== added.text) return
  const items = all.flatMap(item => {
    if (item.itemId !== op.itemId) return item
    return op.kind === 'item.set' ? { ...item, ...newValues(op.set) } : []
  })
  return isEmpty(items) ? null : { ...old, opId, at, items }
}

const isEmpty = (value: object) => Object.keys(value).length === 0

const newValues = (set: Fields) =>
  Object.fromEntries(Object.entries(set).map(([field, { to }]) => [field, to]))

/**
 * Returns the value from which a combined edit starts: the live value under the earlier edit, so that words that others
 * have added since do not count as written by this user; or the value from which the earlier edit started, when its new
 * value is kept in a conflict, or when the newer edit starts from that value and not from the merged text. Returns
 * undefined when the newer edit starts from another text.
 */
function startOf(
  field: keyof Fields | 'title',
  earlier: { from: unknown; to: unknown },
  from: unknown,
  { kept, under, shown }: Prediction
): string | undefined {
  const isMerged = (field === 'text' || field === 'title') && from !== shown
  if (isMerged && from !== earlier.to) return
  if (isMerged || !under || kept?.some(one => one === field)) return earlier.from as string
  return (field === 'title' ? under.text : under[field]) as string
}

/** Returns whether an operation gives the same result before and after an earlier one. */
function areIndependent(old: Operation, { itemIds }: Prediction, op: Operation): boolean {
  if (old.kind === 'list.rename') return op.kind.startsWith('item.')
  if (old.kind.startsWith('list.')) return false
  if (op.kind === 'list.rename') return old.kind !== 'conflict.resolve'
  const isOther = 'itemId' in op && itemIds.length > 0 && !itemIds.includes(`${op.itemId}`)
  if (op.kind === 'item.set') return isOther || old.kind === 'item.move'
  // The place of an item depends on the gaps between the items that are there.
  return op.kind === 'item.delete' && isOther && !('after' in old)
}
