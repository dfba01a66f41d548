import { batch, computed, effect, type ReadonlySignal, signal } from '@preact/signals'
import {
  type Checklist,
  type Client,
  ConcordError,
  type Conflict,
  type Status,
  type View
} from '../../client/index.ts'
import { mergeText } from '../../lib/merge-text.ts'
import { announce } from '../announce.ts'
import { createFocus } from './focus.ts'
import { type NoticesParts, showNotices, TITLE } from './notices.ts'
import { followPeople } from './people.ts'
import { type Direction, placeAfterMove } from './places.ts'
import { createRow, type Row } from './row.ts'

export type Model = ReturnType<typeof createModel>

export interface ModelParts extends Pick<NoticesParts, 'onMessage' | 'onOthers' | 'onConflict'> {
  client: Client
  me: string
  /** Returns the name of a project of the user, once it is known. */
  projectNameOf(id: string): string | undefined
}

/** Returns the state of the screen of one checklist. `stop` ends its subscriptions. */
export function createModel(
  id: string,
  { client, me, projectNameOf, onMessage, ...parts }: ModelParts
) {
  const list: Checklist = client.checklist(id)
  const people = followPeople(client, me)
  const { nameOf } = people
  const { current, setCurrent, focus, takeFocus } = createFocus()
  const view = signal<View | undefined>(undefined)
  const status = signal<Status>(list.status.get())
  const error = signal<ConcordError | null>(null)
  /** stays after the user was removed from the project */
  const projectName = signal('')
  /** ids of the lines, in order */
  const ids = signal<readonly string[]>([])
  /** an empty row below a line, or with null at the top */
  const draft = signal<{ row: Row; after: string | null } | null>(null)
  /** the empty row at the end */
  const end = signal(createRow())
  /** the row that is being edited, with its last place */
  const edited = signal<{ row: Row; above: string | null } | null>(null)

  /** rows of lines by id */
  const rowsById = new Map<string, Row>()
  /** the text of a line, or the title, before this user began to edit it, with what others have changed since */
  const starts = new Map<string, string>()
  const canWrite = computed(() => view.value?.access === 'write')

  const rows: ReadonlySignal<readonly Row[]> = computed(() => {
    const shown = ids.value.map(rowOf)
    const { row, above = null } = edited.value ?? {}
    if (row?.id && !shown.includes(row)) insert(shown, row, above)
    if (draft.value) insert(shown, draft.value.row, draft.value.after)
    return canWrite.value ? [...shown, end.value] : shown
  })

  function insert(shown: Row[], row: Row, after: string | null) {
    const at = shown.findIndex(({ id }) => id === after)
    shown.splice(after === null ? 0 : at < 0 ? shown.length : at + 1, 0, row)
  }

  function rowOf(id: string): Row {
    let row = rowsById.get(id)
    if (!row) {
      row = createRow(id)
      rowsById.set(id, row)
    }
    return row
  }

  const stops = [
    list.subscribe(next => batch(() => update(next))),
    list.status.subscribe(next => {
      status.value = next
    }),
    list.error.subscribe(next => {
      error.value = next
    }),
    effect(() => {
      const name = view.value && projectNameOf(view.value.projectId)
      if (name) projectName.value = name
    })
  ]

  const notices = showNotices(list, {
    ...parts,
    ...{ nameOf, onMessage },
    rowOf: id => rowsById.get(id),
    startOf: id => starts.get(id)
  })
  const { absence, lost, titleNote } = notices

  return {
    ...{ id, list, me, view, status, error, projectName, absence, lost, titleNote, rows },
    ...{ canWrite, end },
    nameOf,

    stop() {
      for (const stop of stops) stop()
      people.stop()
      notices.stop()
      list.show(null)
    },

    // Rows

    setCurrent,
    current,
    focus,
    takeFocus,

    neighbour(row: Row, step: number): Row | undefined {
      const all = rows.value
      return all[all.indexOf(row) + step]
    },

    /** Opens an empty row below a line and moves the focus there. Below the last line there is one already. */
    addBelow(row: Row) {
      if (row.id === null || row === rows.value.at(-2)) return focus(end.value, 'text')
      draft.value = { row: createRow(), after: row.id }
      focus(draft.value.row, 'text')
    },

    closeDraft(row: Row) {
      if (draft.value?.row === row) draft.value = null
    },

    // Changes

    /** Makes a line of an empty row. */
    fill(row: Row, texts: string | readonly string[]): boolean {
      return attempt(() =>
        batch(() => {
          const isEnd = row === end.value
          const after = placeOf(row)
          const [first = ''] = list.add(texts, { after }).ids
          const line = rowsById.get(first)?.line.value
          row.id = first
          rowsById.set(first, row)
          row.line.value = line ?? null
          if (isEnd) end.value = createRow()
          else draft.value = null
          edited.value = { row, above: after ?? null }
          starts.set(first, '')
          ids.value = [...ids.value]
        })
      )
    },

    /** Adds lines below a row: pasted ones. Returns the row of the last one. */
    addLines(row: Row, texts: readonly string[]): Row | undefined {
      let last: string | undefined
      attempt(() => {
        last = list.add(texts, { after: placeOf(row) }).ids.at(-1)
      })
      return last === undefined ? undefined : rowOf(last)
    },

    setText(row: Row, text: string, from: string): boolean {
      const { id } = row
      if (id === null) return false
      return attempt(() => {
        // The user goes on typing in a line that another user has deleted: the line is restored with this text.
        if (!ids.peek().includes(id)) list.restore(id)
        list.set(id, { text }, { text: from })
      })
    },

    setDone: (id: string, done: boolean) => attempt(() => list.set(id, { done })),
    setDueOn: (id: string, dueOn: string | null) => attempt(() => list.set(id, { dueOn })),
    rename(title: string, from: string) {
      starts.set(TITLE, from)
      attempt(() => list.rename(title, from))
    },

    move(row: Row, direction: Direction) {
      const { id } = row
      if (id === null) return
      const after = placeAfterMove(ids.value, id, direction)
      if (after !== undefined) this.moveBelow(row, after)
    },

    moveBelow(row: Row, after: string | null) {
      const { id } = row
      if (id === null) return
      attempt(() => list.move(id, after))
      const { text } = row.line.value ?? { text: '' }
      announce(`Moved “${text}” to place ${ids.value.indexOf(id) + 1} of ${ids.value.length}`)
    },

    /** Deletes a line. The message has a button that restores it. */
    remove(row: Row, text = row.line.value?.text) {
      const { id } = row
      if (id === null) return
      if (edited.value?.row === row) edited.value = null
      if (!attempt(() => list.remove(id))) return
      onMessage('Line deleted', {
        label: 'Undo',
        run: () =>
          attempt(() => {
            list.restore(id)
            const restored = view.value?.items.find(item => item.id === id)
            if (text && restored && restored.text !== text) list.set(id, { text })
          })
      })
    },

    resolve(conflict: Conflict, choice: Parameters<Checklist['resolve']>[1]): boolean {
      return attempt(() => {
        list.resolve(conflict.id, choice).settled.then(({ outcome, code }) => {
          if (outcome === 'noop' && code === 'already_resolved')
            onMessage('Another user has decided this already.')
        })
      })
    },

    undo: () => step('undo'),
    redo: () => step('redo'),
    attempt,

    /** Removes the words of this user from a text or title that was combined. */
    takeBack(row: Row | null) {
      const note = row?.note ?? titleNote
      const live = row ? row.line.value?.text : view.value?.title
      const { edit } = note.value ?? {}
      const text = edit && live !== undefined && mergeText(edit.to, live, edit.from)?.value
      const change = (text: string) => (row ? list.set(`${row.id}`, { text }) : list.rename(text))
      if (!text || !attempt(() => change(text)))
        onMessage('It has changed since. The history has all versions.')
      else note.value = null
    },

    // Editing

    beginEdit(row: Row) {
      const { id } = row
      const at = id === null ? -1 : ids.value.indexOf(id)
      edited.value = { row, above: ids.value[at - 1] ?? null }
      if (id !== null) starts.set(id, row.line.value?.text ?? '')
    },

    /** Applies what others have changed to the text with which this user began. */
    rebaseStart(row: Row, before: string, after: string) {
      const start = row.id === null ? undefined : starts.get(row.id)
      if (row.id === null || start === undefined) return
      const merged = start === before ? after : mergeText(before, after, start)?.value
      if (merged === undefined) starts.delete(row.id)
      else starts.set(row.id, merged)
    },

    endEdit(row: Row) {
      if (edited.value?.row === row) edited.value = null
      if (row.id !== null && row.isGone.value) rowsById.delete(row.id)
      list.show(null)
    },

    /** Returns the text of a line before this user began to edit it. */
    startOf: (row: Row) => starts.get(`${row.id}`) ?? ''
  }

  // The view

  function update(next: View | undefined) {
    view.value = next
    if (!next) return
    people.see(next.people)
    people.follow(next.projectId)
    for (const line of next.items) {
      const row = rowOf(line.id)
      row.line.value = line
      row.isGone.value = false
    }
    const before = ids.value
    const isSame =
      before.length === next.items.length && next.items.every(({ id }, n) => id === before[n])
    if (!isSame) {
      ids.value = next.items.map(({ id }) => id)
      const shown = new Set(ids.value)
      for (const id of before) if (!shown.has(id)) forget(id)
      const { row, after } = draft.value ?? {}
      if (row && after && !shown.has(after))
        draft.value = {
          row,
          after: before.slice(0, before.indexOf(after)).findLast(id => shown.has(id)) ?? null
        }
    }
    const now = current()
    if (!now || (now.id && !rowsById.has(now.id)))
      setCurrent(rows.value[Math.max(before.indexOf(`${now?.id}`), 0)] ?? rows.value.at(-1))
  }

  /** Returns the id of the line below which new lines are added, null for the top and undefined for the end. */
  function placeOf(row: Row): string | null | undefined {
    if (row === end.value) return undefined
    const above = rows.value.slice(0, rows.value.indexOf(row) + 1)
    return above.findLast(({ id }) => id !== null && ids.value.includes(id))?.id ?? null
  }

  function forget(id: string) {
    const row = rowsById.get(id)
    if (row && edited.value?.row === row) row.isGone.value = true
    else rowsById.delete(id)
  }

  // Changes of this user

  /** Runs a change. Shows why it is not possible, and returns whether it was. An empty text is not an error. */
  function attempt(run: () => void): boolean {
    try {
      run()
      return true
    } catch (thrown) {
      if (!(thrown instanceof ConcordError)) throw thrown
      const sentence = refusals[thrown.code]
      if (sentence) onMessage(sentence)
      return false
    }
  }

  function step(kind: 'undo' | 'redo') {
    const status = list.status.get()
    if (!(kind === 'undo' ? status.canUndo : status.canRedo)) return
    const all = rows.value
    attempt(() => {
      if (!list[kind]()) onMessage('It has changed since. The history has all versions.')
    })
    const { row } = edited.value ?? {}
    if (!row?.isGone.value) return
    // The step has deleted the line that was being edited.
    const next = all[all.indexOf(row) - 1] ?? end.value
    edited.value = null
    if (row.id) rowsById.delete(row.id)
    focus(next, 'text')
  }
}

/** sentences about changes that the client refuses */
const refusals: Record<string, string> = {
  LIMIT: 'This list is full.',
  TOO_LONG: 'This text is too long.',
  TOO_MUCH_UNSENT: 'Too many changes wait on this device. Go online to send them.',
  READ_ONLY: 'You can read this list, but not change it.'
}
