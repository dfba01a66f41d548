import type { Confirmed } from './confirmed.ts'
import { peopleByItem, peopleOf } from './presence.ts'
import {
  applyOne,
  fork,
  openConflicts,
  replay,
  shownTitle,
  viewOf,
  type Working
} from './replay.ts'
import type { Entry } from './storage.ts'
import type { Conflict, Line, Peer, Person, View } from './types.ts'

export interface Shown {
  confirmed: Confirmed
  isRemoved: boolean
  /** the operations that are not in `confirmed` yet */
  entries: readonly Entry[]
  userId: string
  peers: Iterable<Peer>
  isOnline: boolean
}

/**
 * Returns a function that calculates the view of a checklist. Unchanged parts are the same objects as in the view before,
 * and an unchanged view is the same object.
 */
export function createRenderer() {
  /** the state with all entries, and the one without the last of them, which a keystroke replaces */
  let whole: Replayed | undefined
  let start: Replayed | undefined
  let lines: readonly Line[] = []
  let conflicts: readonly Conflict[] = []
  let people: readonly Person[] = []
  let wasOnline = false
  let view: View | undefined

  return {
    /** the confirmed state with all entries of this device */
    working: () => whole?.working,
    render
  }

  function render({ confirmed, isRemoved, entries, userId, peers, isOnline }: Shown): View {
    const isMarked =
      whole?.working.confirmed === confirmed &&
      whole.entries.length === entries.length &&
      whole.entries.every(
        ({ op, isSent }, n) => op === entries[n]?.op && isSent === entries[n]?.isSent
      )
    const { working } = apply(confirmed, entries, userId)
    const access = accessTo(working, isRemoved)
    people = peopleOf(peers, userId, people)
    // When an entry has been stored, for example, nothing is to be shown.
    const isShown = isMarked && wasOnline === isOnline && view?.people === people
    if (isShown && view?.access === access) return view
    wasOnline = isOnline
    const marked = isOnline ? entries : entries.map(entry => ({ ...entry, isSent: false }))
    lines = viewOf(working, marked, lines, peopleByItem(people))
    const open = openConflicts(working)
    if (open.length !== conflicts.length || open.some((one, n) => one !== conflicts[n]))
      conflicts = open
    const { id, projectId, rev, epoch, role } = confirmed
    const next: View = {
      ...{ id, projectId, title: shownTitle(working), rev, epoch, role },
      ...{ items: lines, conflicts, people, access }
    }
    if (!view || !isSame(next, view)) view = next
    return view
  }

  function apply(confirmed: Confirmed, entries: readonly Entry[], userId: string): Replayed {
    const isStart = (one: Replayed | undefined) =>
      one?.working.confirmed === confirmed &&
      one.entries.length <= entries.length &&
      one.entries.every(({ op }, n) => op === entries[n]?.op)
    const found = [whole, start].find(isStart) ?? {
      working: replay(confirmed, [], userId),
      entries: []
    }
    const last = entries.at(-1)
    if (!last || found.entries.length === entries.length) whole = { ...found, entries }
    else {
      const { working } = found
      for (const entry of entries.slice(found.entries.length, -1)) applyOne(working, entry)
      start = { working, entries: entries.slice(0, -1) }
      whole = { working: fork(working), entries }
      applyOne(whole.working, last)
    }
    return whole
  }
}

interface Replayed {
  working: Working
  entries: readonly Entry[]
}

export function accessTo({ isDeleted, confirmed }: Working, isRemoved: boolean): View['access'] {
  if (isRemoved) return 'removed'
  if (isDeleted) return 'deleted'
  return confirmed.role === 'viewer' ? 'read' : 'write'
}

/** Returns whether all properties of two objects of one type are the same. */
function isSame<T extends object>(a: T, b: T): boolean {
  return (Object.keys(a) as (keyof T)[]).every(key => a[key] === b[key])
}
