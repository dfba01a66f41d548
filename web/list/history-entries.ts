import type { Change, Conflict, Item } from '../../client/index.ts'
import { formatDate } from './days.ts'
import { capitalize, type NameOf } from './names.ts'
import { diffWords, type Piece } from './word-diff.ts'

/** One entry of a history: changes of one user that belong together. */
export interface HistoryEntry {
  /** the newest revision of these changes */
  rev: number
  at: string
  who: string
  /** "through the API", "by a database change", or nothing */
  source: string
  itemId: string | undefined
  /** what was done, for example "ticked" */
  what: string
  /** the text with its changed words */
  pieces: Piece[]
  /** the text of the line after these changes, if it can be restored */
  text?: string
  isDeletion: boolean
}

/** Changes of one user in one line within this time are shown as one. */
const togetherMs = 120_000

/** Returns the entries of a history, the newest first. `changes` are in order. */
export function toEntries(changes: readonly Change[], nameOf: NameOf): HistoryEntry[] {
  const groups: Change[][] = []
  for (const change of changes) {
    const last = groups.at(-1)
    if (last && belongTo(last, change)) last.push(change)
    else groups.push([change])
  }
  return groups.map(group => toEntry(group, nameOf)).reverse()
}

function belongTo(group: Change[], change: Change): boolean {
  const first = group[0] as Change
  const last = group.at(-1) as Change
  if (last.kind !== change.kind || last.actorId !== change.actorId || last.source !== change.source)
    return false
  if (change.kind === 'item.added') return change.opId !== null && change.opId === first.opId
  if (Date.parse(change.at) - Date.parse(last.at) > togetherMs) return false
  if (change.kind === 'conflict.updated' && last.kind === change.kind)
    return change.after.id === last.after.id
  return change.kind === 'item.updated' && change.itemId === first.itemId
}

function toEntry(group: Change[], nameOf: NameOf): HistoryEntry {
  const first = group[0] as Change
  const last = group.at(-1) as Change
  const { rev, at, actorId, source } = last
  return {
    ...{ rev, at, who: capitalize(nameOf(actorId)), itemId: last.itemId, isDeletion: false },
    source: actorId === null ? '' : sources[source],
    ...describe(group, first, last, nameOf)
  }
}

const sources = { ws: '', http: 'through the API', sql: 'by a database change' }

type Described = Pick<HistoryEntry, 'what' | 'pieces'> & Partial<HistoryEntry>

function describe(group: Change[], first: Change, last: Change, nameOf: NameOf): Described {
  switch (last.kind) {
    case 'item.added': {
      const texts = group.map(({ after }) => (after as Item).text)
      if (texts.length === 1) return { what: 'added', pieces: added(texts[0]), text: texts[0] }
      const shown = texts.slice(0, 3).join(' · ') + (texts.length > 3 ? ' …' : '')
      return { what: `added ${texts.length} lines`, pieces: added(shown), itemId: undefined }
    }
    case 'item.updated':
      return describeUpdate(first.before as Item, last.after)
    case 'item.deleted':
      return { what: 'deleted', pieces: removed(last.before.text), isDeletion: true }
    case 'checklist.created':
      return { what: 'created the list', pieces: added(last.after.title) }
    case 'checklist.updated':
      return {
        what: 'changed the title',
        pieces: diffWords(last.before.title, last.after.title)
      }
    case 'checklist.deleted':
      return { what: 'deleted the list', pieces: [] }
    case 'checklist.restored':
      return { what: 'restored the list', pieces: [] }
    case 'conflict.opened':
    case 'conflict.updated':
      return describeKept(last.after, nameOf)
    case 'conflict.resolved':
      return {
        what:
          last.before.field === 'alive' ? 'decided whether to keep the line' : 'chose a version',
        pieces: []
      }
  }
}

function describeUpdate(before: Item, after: Item): Described {
  const done: string[] = []
  const isNewText = before.text !== after.text
  if (before.done !== after.done) done.push(after.done ? 'ticked' : 'unticked')
  if (before.dueOn !== after.dueOn)
    done.push(after.dueOn ? `set the date to ${formatDate(after.dueOn)}` : 'removed the date')
  if (before.position !== after.position) done.push('moved')
  if (isNewText || done.length === 0) done.unshift('changed')
  const pieces = isNewText ? diffWords(before.text, after.text) : same(after.text)
  return { what: done.join(', '), pieces, ...(isNewText && { text: after.text }) }
}

function describeKept({ field, base, theirs, theirsBy }: Conflict, nameOf: NameOf): Described {
  const who = capitalize(nameOf(theirsBy))
  if (field === 'alive')
    return { who, what: 'deleted the line, which was changed meanwhile', pieces: [] }
  if (field === 'dueOn') {
    const day = typeof theirs === 'string' ? formatDate(theirs) : 'no date'
    return { who, what: `wrote another date, kept beside it: ${day}`, pieces: [] }
  }
  const pieces = diffWords(`${base ?? ''}`, `${theirs}`)
  return { who, what: 'wrote another version, kept beside it', pieces, text: `${theirs}` }
}

const added = (text = ''): Piece[] => [{ kind: 'added', text }]
const removed = (text: string): Piece[] => [{ kind: 'removed', text }]
const same = (text: string): Piece[] => [{ kind: 'same', text }]
