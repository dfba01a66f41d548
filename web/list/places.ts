/** Ways to move a line without dragging. */
export type Direction = 'up' | 'down' | 'top'

/**
 * Returns the id of the line below which a line moves, null for the top. Returns undefined when the line is there
 * already.
 */
export function placeAfterMove(
  ids: readonly string[],
  id: string,
  direction: Direction
): string | null | undefined {
  const at = ids.indexOf(id)
  if (at < 0) return undefined
  if (direction === 'down') return ids[at + 1]
  if (at === 0) return undefined
  return direction === 'top' ? null : (ids[at - 2] ?? null)
}

/** As above, for a line that is dropped on another one: above it, or below it. */
export function placeAfterDrop(
  ids: readonly string[],
  id: string,
  target: string,
  side: 'above' | 'below'
): string | null | undefined {
  const others = ids.filter(other => other !== id)
  const at = others.indexOf(target)
  if (at < 0) return undefined
  const after = side === 'below' ? target : (others[at - 1] ?? null)
  const before = ids[ids.indexOf(id) - 1] ?? null
  return after === before ? undefined : after
}
