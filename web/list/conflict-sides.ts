import type { Change, Choice, Conflict } from '../../client/index.ts'
import { capitalize, type NameOf, possessive } from './names.ts'

/** One of the two values of a conflict, as a user sees it. */
export interface Side {
  /** "You", "Bob" */
  who: string
  isMine: boolean
  value: string | null
  /** when the value was written; null when unknown */
  at: string | null
  choice: Choice
  /** text of the button that chooses this value */
  label: string
}

/** Returns both sides of a conflict about a value. The own one is the first. `changes` are those of the item. */
export function sidesOf(
  conflict: Conflict,
  me: string,
  nameOf: NameOf,
  changes: readonly Change[] = []
): [Side, Side] {
  const { oursBy, theirsBy } = conflict
  const areBothMine = oursBy === me && theirsBy === me
  const isSamePerson = oursBy === theirsBy
  const side = (choice: 'ours' | 'theirs'): Side => {
    const by = conflict[`${choice}By`]
    const isMine = by === me
    const name = nameOf(by)
    const place = choice === 'ours' ? 'in the list' : 'kept beside it'
    const label = isMine
      ? 'Use mine'
      : by === null
        ? 'Keep the database change'
        : `Keep ${possessive(name)}`
    return {
      who: isSamePerson ? `${capitalize(name)}, ${place}` : capitalize(name),
      isMine,
      value: conflict[choice] as string | null,
      at: timeOf(conflict, choice, changes),
      choice,
      label: isSamePerson ? (choice === 'ours' ? 'Keep the list’s' : 'Use the other') : label
    }
  }
  const sides: [Side, Side] = [side('ours'), side('theirs')]
  return sides[1].isMine && !areBothMine ? [sides[1], sides[0]] : sides
}

/** Returns the time at which a value of a conflict was written, from the changes of its item. */
function timeOf(
  { id, field, openedRev, ...values }: Conflict,
  side: 'ours' | 'theirs',
  changes: readonly Change[]
): string | null {
  const value = values[side]
  const found = changes.findLast(({ kind, rev, after }) => {
    if (side === 'ours')
      return (
        (kind === 'item.updated' || kind === 'item.added' || kind === 'checklist.updated') &&
        (after as unknown as Record<string, unknown>)[field] === value
      )
    const isOfConflict = kind === 'conflict.opened' || kind === 'conflict.updated'
    return isOfConflict && after.id === id && (rev === openedRev || after.theirs === value)
  })
  return found?.at ?? null
}

/** Returns the sentence above a conflict. */
export function questionOf(conflict: Conflict, me: string, nameOf: NameOf): string {
  const { field, oursBy, theirsBy, ours, base } = conflict
  if (field === 'alive') {
    const value = ours === base || typeof ours !== 'string' ? 'it' : `it to “${ours}”`
    const editor = capitalize(nameOf(oursBy))
    return `${capitalize(nameOf(theirsBy))} deleted this line. ${editor} changed ${value} meanwhile.`
  }
  const what = { text: 'this line', title: 'the title', dueOn: 'the date' }[field]
  if (oursBy === theirsBy) return `There are two versions of ${what}.`
  const [first, second] = theirsBy === me ? [theirsBy, oursBy] : [oursBy, theirsBy]
  const names = `${capitalize(nameOf(first))} and ${nameOf(second)}`
  return `${names} changed ${what} at the same time.`
}
