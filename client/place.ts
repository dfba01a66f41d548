import type { Item } from './types.ts'

/** The items of a checklist. `order` is sorted by position, then by id. `deleted` has the last state of deleted ones. */
export interface Rows {
  items: Map<string, Item>
  order: Item[]
  deleted: Map<string, Item>
}

type Place = Pick<Item, 'position' | 'id'>

export const isAbove = (a: Place, b: Place) =>
  a.position < b.position || (a.position === b.position && a.id < b.id)

export function copyRows({ items, order, deleted }: Rows): Rows {
  return { items: new Map(items), order: [...order], deleted: new Map(deleted) }
}

/** Returns the index of the first item that is not above a place. */
export function indexOf(order: readonly Item[], place: Place): number {
  let low = 0
  let high = order.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (isAbove(order[middle] as Item, place)) low = middle + 1
    else high = middle
  }
  return low
}

/** Adds an item at its place, or replaces the item with the same id. */
export function putItem({ items, order, deleted }: Rows, item: Item) {
  const old = items.get(item.id)
  const index = old ? indexOf(order, old) : -1
  if (old?.position === item.position) order[index] = item
  else {
    if (old) order.splice(index, 1)
    order.splice(indexOf(order, item), 0, item)
  }
  items.set(item.id, item)
  deleted.delete(item.id)
}

export function deleteItem({ items, order, deleted }: Rows, id: string) {
  const item = items.get(id)
  if (!item) return
  order.splice(indexOf(order, item), 1)
  items.delete(id)
  deleted.set(id, item)
}

type Ids = ReadonlySet<string>

/** Returns the id of the item above a place, without the items `skipped`, or null at the top. */
export function itemAbove(
  { order }: Pick<Rows, 'order'>,
  place: Place,
  skipped: Ids = new Set()
): string | null {
  let index = indexOf(order, place)
  for (let item = order[--index]; item; item = order[--index])
    if (!skipped.has(item.id)) return item.id
  return null
}

/** Returns the first item below a place, without the items `skipped`. */
export function itemBelow(
  order: readonly Item[],
  place: Place,
  skipped: Ids = new Set()
): Item | undefined {
  let index = indexOf(order, place)
  for (let item = order[index]; item; item = order[++index])
    if (item.id !== place.id && !skipped.has(item.id)) return item
}

/** Returns the place of an item or deleted item, undefined for an unknown one, and for null a place above all items. */
export function placeOf({ items, deleted }: Rows, anchor: string | null): Place | undefined {
  return anchor === null
    ? { position: -Infinity, id: '' }
    : (items.get(anchor) ?? deleted.get(anchor))
}

/**
 * Returns the positions for `many` consecutive items below an anchor: the first one, and the step to each next one. The
 * numbers are those of `place_below` in sql/functions/positions.sql. `fits` is false when the gap is used up: then the
 * service makes room first. Returns undefined for an unknown anchor. The items `skipped` do not count.
 */
export function placeBelow(
  rows: Rows,
  anchor: string | null,
  many: number,
  skipped: Ids = new Set()
) {
  const { order } = rows
  const low = placeOf(rows, anchor)
  if (!low) return
  const high = itemBelow(order, low, skipped)
  const { abs, max } = Math
  const largest = 1e15
  const smallest = 1e-200
  let step = 1024
  let start: number

  if (!high) start = (anchor === null ? 0 : low.position) + step
  else if (anchor === null) start = high.position - step * many
  else if (
    max(abs(low.position), abs(high.position)) > largest ||
    high.position - low.position < smallest
  ) {
    step = 0
    start = low.position
  } else {
    const gap = high.position - low.position
    const above = rows.items.get(itemAbove(rows, low, skipped) ?? '')
    const gapAbove = low.position - (above?.position ?? -Infinity)
    const gapBelow = (itemBelow(order, high, skipped)?.position ?? Infinity) - high.position
    step = gapAbove === gapBelow ? gap / (many + 1) : gap / 64 / many
    start = gapBelow < gapAbove ? high.position - step * many : low.position + step
  }

  const last = start + step * (many - 1)
  const fits =
    step > max(abs(start), abs(last), smallest) * 2 ** -50 &&
    max(abs(start), abs(last)) <= largest &&
    start > low.position &&
    (!high || last < high.position)
  return { start, step, fits }
}
