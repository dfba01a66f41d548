import type { Model } from './model.ts'
import { splitLines } from './paste.ts'
import type { Row } from './row.ts'
import { moveCaret } from './word-diff.ts'

/** Returns a text as the service stores it. */
const stored = (text: string) => text.normalize('NFC').replace(/\r\n?/g, '\n').trimEnd()

/**
 * Connects the input of a row with its line. While the input has the focus, words of others are merged into it and the
 * caret keeps its place.
 */
export function createTyping(model: Model, row: Row) {
  let input: HTMLTextAreaElement | null = null
  /** the stored text that the next change starts from */
  let before = ''
  let isEditing = false
  let isComposing = false

  return {
    attach(element: HTMLTextAreaElement | null) {
      input = element
      if (!element) return
      show()
      model.takeFocus(row)
    },
    show,

    onFocus() {
      if (isEditing || !input) return
      isEditing = true
      before = row.line.peek()?.text ?? ''
      model.beginEdit(row)
      showOthers()
    },

    onInput() {
      if (!input) return
      grow()
      if (isComposing) showOthers()
      else send()
    },

    onCompositionStart() {
      isComposing = true
    },

    onCompositionEnd() {
      isComposing = false
      send()
      show()
    },

    /** Several pasted lines become lines of the list. */
    onPaste(event: ClipboardEvent) {
      const lines = splitLines(event.clipboardData?.getData('text/plain') ?? '')
      if (lines.length < 2 || !input) return
      event.preventDefault()
      const last = model.addLines(row, lines)
      // The empty row at the end is already below the new lines.
      if (last && row !== model.end.peek()) model.focus(last, 'text')
    },

    /** Moving the input to another place of the page takes the focus away for a moment. */
    onBlur() {
      queueMicrotask(() => {
        if (document.activeElement === input || !isEditing) return
        isEditing = false
        leave()
      })
    }
  }

  function leave() {
    const start = model.startOf(row)
    const isEmpty = input?.value.trim() === ''
    model.endEdit(row)
    if (row.id === null) {
      if (isEmpty) model.closeDraft(row)
    } else if (isEmpty && !row.isGone.peek()) {
      if (start === '') model.remove(row)
      else model.setText(row, start, before)
    }
    show()
  }

  function send() {
    if (!input) return
    const text = input.value
    if (stored(text).trim() !== '' && (row.id !== null || row.line.peek() === null)) {
      const isDone = row.id === null ? model.fill(row, text) : model.setText(row, text, before)
      if (isDone) before = stored(text)
    }
    showOthers()
  }

  /** Shows other users where this user is typing, and the text if their list does not show it: in a conflict, for example. */
  function showOthers() {
    if (!input || row.id === null) return
    const { value, selectionStart: caret } = input
    const draft = stored(value) === row.line.peek()?.text ? undefined : value
    model.list.show({ itemId: row.id, field: 'text', caret, draft })
  }

  /** Shows the text of the line. */
  function show() {
    if (!input) return
    const line = row.line.peek()
    const text = line?.text ?? ''
    if (!isEditing) {
      if (input.value !== text && (line || row.id === null)) input.value = text
      before = text
      grow()
      return
    }
    // The text of this user is kept in a conflict: it goes on from there.
    const isKept = line?.conflicts.some(
      ({ field, theirs }) => field === 'text' && theirs === before
    )
    const isUnsent = stored(input.value) !== before
    if (!line || text === before || isComposing || isKept || isUnsent || row.isGone.peek()) return
    merge(text)
  }

  /** Replaces the text by one with words of others. */
  function merge(text: string) {
    if (!input) return
    const { value, selectionStart, selectionEnd, selectionDirection } = input
    const blanks = value.slice(stored(value).length)
    const next = text.endsWith(before) ? text + blanks : text
    model.rebaseStart(row, before, text)
    input.value = next
    input.setSelectionRange(
      moveCaret(value, next, selectionStart),
      moveCaret(value, next, selectionEnd),
      selectionDirection
    )
    before = text
    grow()
  }

  /** Makes the row as high as the text: CSS shows a hidden copy of it behind the input. */
  function grow() {
    if (input?.parentElement) input.parentElement.dataset.value = `${input.value} `
  }
}
