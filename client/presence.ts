import { maximum } from '../schemas/limits.ts'
import type { Peer, Person, PresenceState } from './types.ts'

/**
 * Returns the people behind the connections of a checklist: one for each user, with the newest state that names an item.
 * `peers` are ordered by their last update. Unchanged people are the same objects as in `previous`, and so is the array.
 */
export function peopleOf(
  peers: Iterable<Peer>,
  me: string,
  previous: readonly Person[]
): readonly Person[] {
  const people = new Map<string, Person>()
  for (const { userId, name, state } of peers) {
    const other = people.get(userId)
    const isNewer = !other || state?.itemId || !other.state.itemId
    people.set(userId, {
      userId,
      name,
      isMe: userId === me,
      state: (isNewer ? state : other.state) ?? {}
    })
  }
  const next = [...people.values()].sort((a, b) => (a.userId < b.userId ? -1 : 1))
  const same = next.map(
    person => previous.find(old => JSON.stringify(old) === JSON.stringify(person)) ?? person
  )
  return same.length === previous.length && same.every((person, n) => person === previous[n])
    ? previous
    : same
}

/** Returns the people by the item that they edit. */
export function peopleByItem(people: readonly Person[]): Map<string, readonly Person[]> {
  const byItem = new Map<string, readonly Person[]>()
  for (const person of people) {
    const { itemId } = person.state
    if (itemId) byItem.set(itemId, [...(byItem.get(itemId) ?? []), person])
  }
  return byItem
}

/** Returns what the service accepts of a state: the caret in its range, the draft without invalid characters. */
export function cleanState({ caret, draft, ...state }: PresenceState): PresenceState {
  return {
    ...state,
    ...(caret !== undefined && { caret: Math.min(Math.max(0, Math.round(caret)), 10_000) }),
    ...(draft !== undefined && {
      draft: [...draft.replace(/\p{Cs}|\0/gu, '')].slice(0, maximum.textLength).join('')
    })
  }
}
