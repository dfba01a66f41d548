import { copyRows, deleteItem, putItem, type Rows } from './place.ts'
import type { Change, ChecklistData, Conflict, Item } from './types.ts'

// Beyond these numbers, the oldest ones are forgotten.
const limits = { deleted: 1000, landed: 500 }

/** A checklist as the service has it. It never changes: functions return a new one. */
export interface Confirmed extends Rows, Omit<ChecklistData, 'items' | 'conflicts'> {
  isDeleted: boolean
  /** the open conflicts by id, the oldest first */
  conflicts: Map<string, Conflict>
  /**
   * The parts that operations have changed, by `opId`, until `forget`: `<item>` for a whole item, `<item>.<field>` for one
   * field, `title`, and `list` when the checklist was deleted or restored.
   */
  landed: Map<string, readonly string[]>
}

/** A checklist as it is stored, and sent between tabs. Snapshots of the service lack the additional fields. */
export interface ConfirmedData extends ChecklistData {
  isDeleted?: boolean
  deleted?: Item[]
  landed?: [string, readonly string[]][]
}

/**
 * Returns the state of a snapshot. `previous` is the former state of the same checklist: its items that are not in the
 * snapshot count as deleted, so that operations on them can still be predicted.
 */
export function fromSnapshot(data: ConfirmedData, previous?: Confirmed): Confirmed {
  const { items: order, conflicts, isDeleted = false, deleted, landed, ...rest } = data
  const items = new Map(order.map(item => [item.id, item]))
  const gone = deleted ?? (previous ? [...previous.deleted.values(), ...previous.order] : [])
  return {
    ...rest,
    isDeleted,
    items,
    order,
    deleted: new Map(gone.filter(({ id }) => !items.has(id)).map(item => [item.id, item])),
    conflicts: new Map(conflicts.map(conflict => [conflict.id, conflict])),
    landed: new Map(landed ?? previous?.landed)
  }
}

/** Returns what `fromSnapshot` reads. */
export function toData(confirmed: Confirmed): ConfirmedData {
  const { items: _, order, deleted, conflicts, landed, ...rest } = confirmed
  return {
    ...rest,
    items: order,
    deleted: [...deleted.values()],
    conflicts: [...conflicts.values()],
    landed: [...landed]
  }
}

/**
 * Returns the state after changes. Skips the changes that it contains already. Returns 'gap' when a change is missing
 * between them. Copies the items once, not for each change.
 */
export function applyChanges(confirmed: Confirmed, changes: readonly Change[]): Confirmed | 'gap' {
  const isNew = ({ rev }: Change) => rev > confirmed.rev
  if (!changes.some(isNew)) return confirmed
  const next: Confirmed = {
    ...confirmed,
    ...copyRows(confirmed),
    conflicts: new Map(confirmed.conflicts),
    landed: new Map(confirmed.landed)
  }
  for (const change of changes) {
    if (change.rev <= next.rev) continue
    if (change.rev !== next.rev + 1) return 'gap'
    apply(next, change)
  }
  forgetOldest(next.deleted, limits.deleted)
  forgetOldest(next.landed, limits.landed)
  return next
}

/** Forgets what an operation has changed, when its result is known. */
export function forget(confirmed: Confirmed, opId: string): Confirmed {
  if (!confirmed.landed.has(opId)) return confirmed
  const landed = new Map(confirmed.landed)
  landed.delete(opId)
  return { ...confirmed, landed }
}

function apply(next: Confirmed, change: Change) {
  next.rev = change.rev
  const { opId } = change
  const lands = landsOf(change)
  if (opId) next.landed.set(opId, [...(next.landed.get(opId) ?? []), ...lands])
  switch (change.kind) {
    case 'item.added':
    case 'item.updated':
      return putItem(next, change.after)
    case 'item.deleted':
      return deleteItem(next, change.itemId)
    case 'conflict.opened':
    case 'conflict.updated':
      next.conflicts.set(change.after.id, change.after)
      return
    case 'conflict.resolved':
      next.conflicts.delete(change.before.id)
      return
    case 'checklist.created':
    case 'checklist.updated':
    case 'checklist.deleted':
    case 'checklist.restored':
      next.title = change.after?.title ?? next.title
      next.isDeleted = change.after?.deleted ?? true
  }
}

/** Returns what a change means for its operation: see `Confirmed.landed`. */
function landsOf({ kind, itemId, before, after }: Change): string[] {
  const id = `${itemId}`
  switch (kind) {
    case 'item.updated':
      return (['text', 'done', 'dueOn', 'position'] as const)
        .filter(field => before[field] !== after[field])
        .map(field => `${id}.${field}`)
    case 'conflict.opened':
    case 'conflict.updated':
    case 'conflict.resolved': {
      const { field } = after ?? before
      if (field === 'title') return [field]
      return [kind === 'conflict.opened' && field === 'alive' ? id : `${id}.${field}`]
    }
    case 'checklist.updated':
      return ['title']
    default:
      return [itemId ?? 'list']
  }
}

function forgetOldest(map: Map<string, unknown>, limit: number) {
  for (const key of map.keys()) {
    if (map.size <= limit) return
    map.delete(key)
  }
}
