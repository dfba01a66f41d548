import { type Signal, signal } from '@preact/signals'
import type { Change, Checklist, Conflict, Notices, Operation, Result } from '../../client/index.ts'
import { plural } from '../text.ts'
import { capitalize, type NameOf } from './names.ts'
import type { Note, Row } from './row.ts'

/** An operation that changed nothing, with its text. */
export interface Lost {
  op: Operation
  result: Result
  /** the text of the line that it was about, when another user has deleted it */
  line?: string
}

/** the key of the title, beside the ids of lines */
export const TITLE = 'title'

const limits = { flashMs: 4_000, lost: 100 }

export interface NoticesParts {
  nameOf: NameOf
  rowOf(itemId: string): Row | undefined
  /** Returns the text of a line, or the title, before this user began to edit it; undefined when the user has not. */
  startOf(key: string): string | undefined
  /** Shows a sentence for some seconds, with a button. */
  onMessage(text: string, action?: { label: string; run: () => void }): void
  /** Announces a change of another user. */
  onOthers(change: { name: string; subject: string; sentence: string }): void
  onConflict(conflict: Conflict, isMine: boolean, nameOf: NameOf): void
}

/** Shows the notices of a checklist: at its rows, in reports and in messages. `stop` ends that. */
export function showNotices(
  list: Pick<Checklist, 'on'>,
  { nameOf, rowOf, startOf, onMessage, onOthers, onConflict }: NoticesParts
) {
  const absence = signal<Notices['caughtUp'] | null>(null)
  const lost = signal<readonly Lost[]>([])
  const titleNote = signal<Note | null>(null)
  /** the last changes of each item, and of the title */
  const lastOthers = new Map<string, Change>()
  const lastOwn = new Map<string, Change>()
  const timers = new Map<Row, ReturnType<typeof setTimeout>>()
  const stops = [
    list.on('change', ({ change, isMine }) => receiveChange(change, isMine)),
    list.on('conflict', ({ conflict, isMine }) => onConflict(conflict, isMine, nameOf)),
    list.on('merged', receiveMerge),
    list.on('dropped', addLost),
    list.on('rejected', addLost),
    list.on('caughtUp', notice => {
      const { sent, ...others } = notice
      if (Object.values(others).some(many => many > 0)) absence.value = notice
      else onMessage(`${plural(sent, '1 change', '# changes')} sent`)
    })
  ]

  return {
    absence,
    lost,
    titleNote,
    stop() {
      for (const stop of stops) stop()
      for (const timer of timers.values()) clearTimeout(timer)
    }
  }

  function receiveChange(change: Change, isMine: boolean) {
    const { itemId } = change
    const key = change.kind === 'checklist.updated' ? TITLE : itemId
    if (key) (isMine ? lastOwn : lastOthers).set(key, change)
    if (isMine) return
    const name = nameOf(change.actorId)
    const text = change.kind === 'item.deleted' ? change.before.text : undefined
    const row = itemId === undefined ? undefined : rowOf(itemId)
    if (row && (change.kind === 'item.added' || change.kind === 'item.updated')) {
      row.flash.value = change.actorId === null ? 'Changed in the database' : `Changed by ${name}`
      clearTimeout(timers.get(row))
      timers.set(
        row,
        setTimeout(() => {
          row.flash.value = null
        }, limits.flashMs)
      )
    }
    const sentence = sentenceOf(change, capitalize(name), text)
    if (sentence) onOthers({ name: capitalize(name), subject: itemId ?? TITLE, sentence })
  }

  function receiveMerge({ itemId, mine, result, parts }: Notices['merged']) {
    const note: Signal<Note | null> | undefined = itemId === null ? titleNote : rowOf(itemId)?.note
    if (!note) return
    const key = itemId ?? TITLE
    const other = lastOthers.get(key)
    const own = lastOwn.get(key)
    const start = startOf(key)
    const edit = own && editOf(own)
    note.value = {
      by: other ? nameOf(other.actorId) : 'another user',
      at: own?.at ?? new Date().toISOString(),
      ...{ mine, result, parts },
      edit:
        start !== undefined && start !== mine
          ? { from: start, to: mine }
          : edit?.to === result
            ? edit
            : null
    }
  }

  function addLost({ op, result }: Lost) {
    if (op.kind === 'list.delete' || result.code === 'already_resolved') return
    const change = 'itemId' in op && op.itemId ? lastOthers.get(op.itemId) : undefined
    const line = change?.kind === 'item.deleted' ? change.before.text : undefined
    lost.value = [...lost.value, { op, result, line }].slice(-limits.lost)
  }
}

/** Returns what a change made of a text or title. */
function editOf(change: Change): Note['edit'] {
  if (change.kind === 'item.updated') return { from: change.before.text, to: change.after.text }
  if (change.kind !== 'checklist.updated') return null
  return { from: change.before.title, to: change.after.title }
}

/** Returns the sentence that announces a change of another user. */
function sentenceOf(change: Change, name: string, text?: string): string {
  switch (change.kind) {
    case 'item.added':
      return `${name} added “${change.after.text}”`
    case 'item.updated': {
      const { before, after } = change
      if (before.text !== after.text) return `${name} changed a line to “${after.text}”`
      if (before.done !== after.done)
        return `${name} ${after.done ? 'ticked' : 'unticked'} “${after.text}”`
      return `${name} ${before.dueOn === after.dueOn ? 'moved' : 'changed the date of'} “${after.text}”`
    }
    case 'item.deleted':
      return `${name} deleted “${text}”`
    case 'checklist.updated':
      return `${name} changed the title to “${change.after.title}”`
    default:
      return ''
  }
}
