import type { Conflict } from '../../client/index.ts'
import { Dialog } from '../parts/dialog.tsx'
import type { Model } from './model.ts'
import type { Row } from './row.ts'

/** The actions of the keys and of the menu of a line. */
export type Actions = ReturnType<typeof createActions>

interface Panels {
  openHistory: (row: Row | null) => void
  openHelp: () => void
}

/** Keys in a field change its text, except these. */
const isField = (target: EventTarget | null) =>
  target instanceof HTMLTextAreaElement ||
  target instanceof HTMLSelectElement ||
  (target instanceof HTMLInputElement && target.type !== 'checkbox')

export function createActions(model: Model, panels: Panels) {
  return {
    onRowKey,
    onTextKey,
    onScreenKey,
    remove,
    stepDecision,
    editDate,
    openHistory: panels.openHistory,
    openHelp: panels.openHelp,

    /** Keeps the focus in the line whose conflict this user has resolved. */
    afterDecision(row: Row | null, { id }: Conflict) {
      const others = [...document.querySelectorAll<HTMLElement>('.conflict')]
      const at = others.findIndex(element => element.id === `conflict-${id}`)
      if (row && model.view.value?.items.some(item => item.id === row.id)) model.focus(row, 'check')
      else if (row) model.focus(model.neighbour(row, 1) ?? model.end.value, 'check')
      else (others[at + 1] ?? document.querySelector<HTMLElement>('h1'))?.focus()
    }
  }

  /** Handles a key while the box of a line has the focus. */
  function onRowKey(event: KeyboardEvent, row: Row) {
    const { key, altKey, ctrlKey, metaKey, shiftKey } = event
    if (ctrlKey || metaKey) return
    if (altKey) return moveByKey(event, row)
    const canWrite = model.canWrite.value
    const run: Record<string, (() => void) | false> = {
      ArrowUp: () => focusNext(row, -1, 'check'),
      ArrowDown: () => focusNext(row, 1, 'check'),
      Home: () => model.focus(model.rows.value[0], 'check'),
      End: () => model.focus(model.rows.value.at(-1), 'check'),
      Enter: canWrite && !shiftKey && (() => model.focus(row, 'text')),
      Backspace: canWrite && (() => remove(row)),
      Delete: canWrite && (() => remove(row)),
      d: canWrite && (() => editDate(row)),
      h: () => panels.openHistory(row)
    }
    runKey(event, run[key.length === 1 ? key.toLowerCase() : key])
  }

  /** Handles a key while the text of a line has the focus. */
  function onTextKey(event: KeyboardEvent, row: Row) {
    const input = event.currentTarget as HTMLTextAreaElement
    const { key, altKey, ctrlKey, metaKey, shiftKey, isComposing } = event
    if (isComposing || ctrlKey || metaKey) return
    if (altKey) return moveByKey(event, row)
    if (shiftKey) return
    const { selectionStart: start, selectionEnd: end, value } = input
    const isCaret = start === end
    const isOneRow = input.clientHeight < 2 * Number.parseFloat(getComputedStyle(input).lineHeight)
    const run: Record<string, (() => void) | false> = {
      Enter: () => model.canWrite.value && (row.id !== null || value) && model.addBelow(row),
      Escape: () => leave(row),
      Backspace: value === '' && (() => removeEmpty(row)),
      ArrowUp: isCaret && (isOneRow || start === 0) && (() => focusNext(row, -1, 'text', start)),
      ArrowDown:
        isCaret && (isOneRow || start === value.length) && (() => focusNext(row, 1, 'text', start))
    }
    runKey(event, run[key])
  }

  /** Handles the keys of the whole screen. */
  function onScreenKey(event: KeyboardEvent) {
    if (event.defaultPrevented || event.isComposing) return
    const { key, ctrlKey, metaKey, altKey, shiftKey, target } = event
    const isText = target instanceof HTMLElement && target.closest('.line-text') !== null
    const letter = key.toLowerCase()
    if ((ctrlKey || metaKey) && !altKey) {
      if (isField(target) && !isText) return
      if (letter === 'z') runKey(event, shiftKey ? model.redo : model.undo)
      if (letter === 'y' && !shiftKey) runKey(event, model.redo)
      return
    }
    if (isField(target) || altKey) return
    const run: Record<string, () => void> = {
      n: () => stepDecision(1),
      p: () => stepDecision(-1),
      h: () => panels.openHistory(null),
      '?': panels.openHelp
    }
    runKey(event, run[letter])
  }

  function runKey(event: KeyboardEvent, run: (() => void) | false | undefined) {
    if (!run) return
    event.preventDefault()
    run()
  }

  function moveByKey(event: KeyboardEvent, row: Row) {
    const { key } = event
    if ((key !== 'ArrowUp' && key !== 'ArrowDown') || !model.canWrite.value) return
    event.preventDefault()
    model.move(row, key === 'ArrowUp' ? 'up' : 'down')
  }

  function focusNext(row: Row, step: number, part: 'text' | 'check', caret?: number) {
    model.focus(model.neighbour(row, step), part, caret)
  }

  function leave(row: Row) {
    if (row.id !== null) return model.focus(row, 'check')
    const above = model.neighbour(row, -1)
    model.closeDraft(row)
    model.focus(above, 'check')
  }

  function remove(row: Row) {
    const next = model.neighbour(row, 1) ?? model.neighbour(row, -1)
    model.remove(row)
    model.focus(next, 'check')
  }

  /** Deletes a line whose text the user has deleted, or an empty row. */
  function removeEmpty(row: Row) {
    const above = model.neighbour(row, -1)
    if (row.id !== null) model.remove(row, model.startOf(row))
    else model.closeDraft(row)
    model.focus(above ?? model.neighbour(row, 1), 'text')
  }

  function editDate(row: Row) {
    document.getElementById(`date-${row.key}`)?.click()
  }

  /** Moves the focus to the next or the previous question, in the order of the page. */
  function stepDecision(step: 1 | -1) {
    const all = [...document.querySelectorAll<HTMLElement>('.conflict')]
    if (all.length === 0) return
    const active = document.activeElement
    const at = all.findIndex(element => element.contains(active))
    const isBefore = (element: HTMLElement) =>
      active !== null &&
      (element.compareDocumentPosition(active) & Node.DOCUMENT_POSITION_FOLLOWING) !== 0
    const from = at >= 0 ? at : all.findLastIndex(isBefore) + (step > 0 ? 0 : 1)
    const next = all[(from + step + all.length) % all.length]
    next?.focus({ preventScroll: true })
    next?.closest('.line, .title')?.scrollIntoView({ block: 'center' })
  }
}

const keys: readonly (readonly [title: string, rows: readonly (readonly [string, string])[]])[] = [
  [
    'In the list',
    [
      ['↑ ↓', 'previous, next line'],
      ['Space', 'tick'],
      ['Enter', 'edit the text'],
      ['Alt ↑ ↓', 'move the line'],
      ['D', 'due date'],
      ['H', 'history of the line'],
      ['Delete', 'delete the line']
    ]
  ],
  [
    'In a text',
    [
      ['Enter', 'new line below'],
      ['Shift Enter', 'line break'],
      ['Backspace', 'delete an empty line'],
      ['Esc', 'back to the list']
    ]
  ],
  [
    'Everywhere',
    [
      ['N P', 'next, previous question'],
      ['1 2 3', 'choose a version'],
      ['Ctrl Z', 'undo'],
      ['Ctrl Shift Z', 'redo'],
      ['?', 'this help']
    ]
  ]
]

export function KeyboardHelp({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keyboard" onClose={onClose} class="keyboard">
      {keys.map(([title, rows]) => (
        <section key={title}>
          <h3>{title}</h3>
          <dl>
            {rows.map(([key, text]) => (
              <div key={key}>
                <dt>
                  {key.split(' ').map(one => (
                    <kbd key={one}>{one}</kbd>
                  ))}
                </dt>
                <dd>{text}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
    </Dialog>
  )
}
