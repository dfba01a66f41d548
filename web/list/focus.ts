import type { Row } from './row.ts'

/** Returns functions that move the focus between the rows of a list. The current row is the one that Tab reaches. */
export function createFocus() {
  let current: Row | undefined
  let wanted: { row: Row; part: 'text' | 'check'; caret: number | undefined } | null = null

  return { current: () => current, setCurrent, focus, takeFocus }

  function setCurrent(row: Row | undefined) {
    if (row === current) return
    if (current) current.isCurrent.value = false
    current = row
    if (row) row.isCurrent.value = true
  }

  /** Moves the focus to a row, also if it is shown with the next rendering. */
  function focus(row: Row | undefined, part: 'text' | 'check', caret?: number) {
    if (!row) return
    wanted = { row, part: row.id === null ? 'text' : part, caret }
    takeFocus(row)
  }

  /** Moves the focus to a row that was waiting for it. */
  function takeFocus(row: Row) {
    if (wanted?.row !== row) return
    const { part, caret } = wanted
    const element = document.getElementById(`${part}-${row.key}`)
    if (!element) return
    wanted = null
    setCurrent(row)
    element.focus()
    if (element instanceof HTMLTextAreaElement) {
      const at = caret ?? element.value.length
      element.setSelectionRange(at, at)
    }
  }
}
