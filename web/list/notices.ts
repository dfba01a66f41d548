import { signal } from '@preact/signals'
import type { Change, Checklist, Conflict, Notices, Operation, Result } from '../../client/index.ts'
import { plural } from '../text.ts'
import { capitalize, type NameOf } from './names.ts'
import type { Row } from './row.ts'

/** An operation that changed nothing, with its text. */
export interface Lost {
  op: Operation
  result: Result
  /** the text of the line that it was about, when another user has deleted it */
  line?: string
}

const limits = { flashMs: 4_000, lost: 100 }

export interface NoticesParts {
  nameOf: NameOf
  rowOf(itemId: string): Row | undefined
  /** Returns the text of a line before this user began to edit it; undefined when the user has not. */
  startOf(itemId: string): string | undefined
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
  /** the last changes of each item */
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
    stop() {
      for (const stop of stops) stop()
      for (const timer of timers.values()) clearTimeout(timer)
    }
  }

  function receiveChange(change: Change, isMine: boolean) {
    const { itemId } = change
    if (isMine) {
      if (itemId) lastOwn.set(itemId, change)
      return
    }
    const name = nameOf(change.actorId)
    const text = change.kind === 'item.deleted' ? change.before.text : undefined
    if (itemId) lastOthers.set(itemId, change)
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
    if (sentence) onOthers({ name: capitalize(name), subject: itemId ?? 'title', sentence })
  }

  function receiveMerge({ itemId, mine, result, parts }: Notices['merged']) {
    const row = itemId === null ? undefined : rowOf(itemId)
    if (!row || itemId === null) {
      if (itemId === null) onMessage('The title was combined with a change of another user.')
      return
    }
    const other = lastOthers.get(itemId)
    const own = lastOwn.get(itemId)
    const start = startOf(itemId)
    const isOwn = own?.kind === 'item.updated' && own.after.text === result
    row.note.value = {
      by: other ? nameOf(other.actorId) : 'another user',
      at: own?.at ?? new Date().toISOString(),
      ...{ mine, result, parts },
      edit:
        start !== undefined && start !== mine
          ? { from: start, to: mine }
          : isOwn
            ? { from: own.before.text, to: result }
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
