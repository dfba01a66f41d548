import { type Signal, signal } from '@preact/signals'
import type { Line, Result } from '../../client/index.ts'

/** A row of the screen: a line, or with `id` null an empty one that becomes a line when the user types in it. */
export interface Row {
  /** stays the same when an empty row becomes a line, so that its input keeps the focus */
  key: string
  id: string | null
  isCurrent: Signal<boolean>
  line: Signal<Line | null>
  /** who has just changed the line, for some seconds */
  flash: Signal<string | null>
  note: Signal<Note | null>
  /** whether another user has deleted the line while this user edits it */
  isGone: Signal<boolean>
}

/** A note about texts that were combined. */
export interface Note {
  by: string
  at: string
  mine: string
  result: string
  parts: Result['parts']
  /** The edit of this user, to take it back. */
  edit: { from: string; to: string } | null
}

let rowCount = 0

export function createRow(id: string | null = null): Row {
  return {
    key: `row${++rowCount}`,
    ...{ id, isCurrent: signal(false), line: signal(null), flash: signal(null) },
    ...{ note: signal(null), isGone: signal(false) }
  }
}
