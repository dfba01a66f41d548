import type { Model } from './model.ts'
import { placeAfterDrop } from './places.ts'
import type { Row } from './row.ts'

/** The page scrolls while the pointer is this near to its top or bottom, at most so many pixels a frame. */
const edge = { px: 72, perFrame: 14 }

interface Drag {
  row: Row
  line: HTMLElement
  grip: HTMLElement
  pointerId: number
  /** the place of the pointer on the page at the start, and in the window now */
  startY: number
  y: number
  target?: { line: HTMLElement; side: 'above' | 'below' }
}

/**
 * Returns the handlers of the list with which lines are dragged by their handles, with a mouse, a pen or a finger. The menu
 * of a line does the same.
 */
export function createDrag(model: Model) {
  let drag: Drag | undefined
  let frame = 0

  return {
    onPointerDown(event: PointerEvent) {
      const grip = (event.target as Element).closest<HTMLElement>('.grip')
      const line = grip?.closest<HTMLElement>('.line')
      const row = line && rowOf(line)
      const isUsable = event.isPrimary && event.button === 0 && model.canWrite.peek()
      if (drag || !grip || !line || !row?.id || !isUsable) return
      // The focus stays where it is, and no text is selected.
      event.preventDefault()
      const { pointerId, clientY: y } = event
      grip.setPointerCapture(pointerId)
      drag = { row, line, grip, pointerId, startY: y + scrollY, y }
      line.dataset.dragged = ''
      document.addEventListener('keydown', onKeyDown)
      frame = requestAnimationFrame(follow)
    },

    /** No gesture of the browser begins on a handle, such as the menu of a long press. */
    onTouchStart(event: TouchEvent) {
      const isHandle = (event.target as Element).closest('.grip.is-usable') !== null
      if (isHandle && event.cancelable) event.preventDefault()
    },

    onPointerMove(event: PointerEvent) {
      if (drag?.pointerId === event.pointerId) drag.y = event.clientY
    },

    onPointerUp(event: PointerEvent) {
      if (drag?.pointerId !== event.pointerId) return
      drag.y = event.clientY
      aim(drag)
      const { row, target } = drag
      end()
      if (target) drop(row, target)
    },

    /** The browser took the pointer away, another user moved or deleted the line, or it was dropped. */
    onLostPointerCapture: end
  }

  function rowOf(line: HTMLElement) {
    return model.rows.peek().find(({ key }) => line.id === `line-${key}`)
  }

  /** Moves the line with the pointer, and scrolls near the edges of the window. */
  function follow() {
    if (!drag) return
    const { y } = drag
    const beyond = Math.max(0, y + edge.px - innerHeight) - Math.max(0, edge.px - y)
    if (beyond !== 0) scrollBy(0, Math.max(-1, Math.min(1, beyond / edge.px)) * edge.perFrame)
    aim(drag)
    frame = requestAnimationFrame(follow)
  }

  /** Marks where the line would be dropped. Above or below the list, that is its first or last row. */
  function aim(current: Drag) {
    const { line, y, startY } = current
    const list = line.parentElement?.getBoundingClientRect()
    if (!list) return
    // Outside of the list, the line would make the page longer, which would then scroll on.
    const { offsetTop, offsetHeight, offsetParent } = line
    const start = offsetTop + (offsetParent?.getBoundingClientRect().top ?? 0)
    const most = Math.min(y + scrollY - startY, list.bottom - start - offsetHeight)
    line.style.translate = `0 ${Math.max(most, list.top - start)}px`
    // Not on the border of the list.
    const inside = Math.max(list.top + 4, Math.min(list.bottom - 4, y))
    const hit = document.elementFromPoint(list.left + list.width / 2, inside)
    const over = hit?.closest<HTMLElement>('.line')
    // The list itself is where the line was before; the header of the page, for example, covers a place.
    if (!over) return hit?.closest('.lines') ? mark(current) : undefined
    const { top, height } = over.getBoundingClientRect()
    const isBelow = y > top + height / 2 && rowOf(over)?.id !== null
    mark(current, { line: over, side: isBelow ? 'below' : 'above' })
  }

  function mark(current: Drag, target?: Drag['target']) {
    if (current.target?.line === target?.line && current.target?.side === target?.side) return
    if (current.target) delete current.target.line.dataset.drop
    current.target = target
    if (target) target.line.dataset.drop = target.side
  }

  function drop(row: Row, { line, side }: NonNullable<Drag['target']>) {
    const ids = model.rows.peek().flatMap(({ id }) => id ?? [])
    const over = rowOf(line)
    if (row.id === null || !over) return
    // The row at the end is empty: above it is below the last line.
    const after =
      over.id === null
        ? placeAfterDrop(ids, row.id, ids.at(-1) ?? '', 'below')
        : placeAfterDrop(ids, row.id, over.id, side)
    if (after !== undefined) model.moveBelow(row, after)
  }

  function onKeyDown(event: KeyboardEvent) {
    if (event.key !== 'Escape') return
    event.preventDefault()
    end()
  }

  function end() {
    if (!drag) return
    const { line, grip, pointerId } = drag
    cancelAnimationFrame(frame)
    document.removeEventListener('keydown', onKeyDown)
    mark(drag)
    drag = undefined
    delete line.dataset.dragged
    line.style.translate = ''
    if (grip.hasPointerCapture(pointerId)) grip.releasePointerCapture(pointerId)
  }
}
