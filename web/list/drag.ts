import type { Model } from './model.ts'
import { placeAfterDrop } from './places.ts'
import type { Row } from './row.ts'

/** Returns the handlers of the list with which lines are dragged by their handles. The menu of a line does the same. */
export function createDrag(model: Model) {
  let dragged: Row | undefined
  let target: { line: HTMLElement; side: 'above' | 'below' } | undefined

  const lineOf = (event: DragEvent) => (event.target as Element).closest<HTMLElement>('.line')
  const rowOf = (line: HTMLElement) =>
    model.rows.peek().find(({ key }) => line.id === `line-${key}`)

  function mark(next?: typeof target) {
    if (target?.line === next?.line && target?.side === next?.side) return
    if (target) delete target.line.dataset.drop
    target = next
    if (next) next.line.dataset.drop = next.side
  }

  return {
    onDragStart(event: DragEvent) {
      const line = lineOf(event)
      const row = line && rowOf(line)
      if (!line || !row?.id || !event.dataTransfer) return
      dragged = row
      event.dataTransfer.effectAllowed = 'move'
      event.dataTransfer.setData('text/plain', row.line.peek()?.text ?? '')
      event.dataTransfer.setDragImage(line, 16, 24)
      line.dataset.dragged = ''
    },

    onDragOver(event: DragEvent) {
      const line = lineOf(event)
      if (!dragged || !line) return
      event.preventDefault()
      const { top, height } = line.getBoundingClientRect()
      const isBelow = event.clientY > top + height / 2 && rowOf(line)?.id !== null
      mark({ line, side: isBelow ? 'below' : 'above' })
    },

    onDrop(event: DragEvent) {
      if (!dragged || !target) return
      event.preventDefault()
      const row = rowOf(target.line)
      const ids = model.rows.peek().flatMap(({ id }) => id ?? [])
      // The row at the end is empty: above it is below the last line.
      const [id, side] =
        row?.id === null
          ? ([ids.at(-1) ?? '', 'below'] as const)
          : ([`${row?.id}`, target.side] as const)
      const after = placeAfterDrop(ids, dragged.id ?? '', id, side)
      if (after !== undefined) model.moveBelow(dragged, after)
      this.onDragEnd()
    },

    onDragLeave(event: DragEvent) {
      const list = event.currentTarget as Element
      if (!list.contains(event.relatedTarget as Node | null)) mark()
    },

    onDragEnd() {
      mark()
      if (dragged) delete document.getElementById(`line-${dragged.key}`)?.dataset.dragged
      dragged = undefined
    }
  }
}
