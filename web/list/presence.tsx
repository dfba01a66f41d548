import type { Person } from '../../client/index.ts'
import { Avatar } from '../parts/avatar.tsx'
import { listNames } from '../text.ts'

const most = 4

/** The other users who have the list open. */
export function People({ people }: { people: readonly Person[] }) {
  const others = people.filter(({ isMe }) => !isMe)
  if (others.length === 0) return null
  const names = listNames(
    others.map(({ name }) => name),
    8
  )
  const verb = others.length === 1 ? 'is' : 'are'
  return (
    <div
      class="people"
      role="img"
      aria-label={`${names} ${verb} here`}
      title={`${names} ${verb} here`}
    >
      {others.slice(0, most).map(({ userId, name }) => (
        <Avatar key={userId} id={userId} name={name} />
      ))}
      {others.length > most && <span class="avatar more">+{others.length - most}</span>}
    </div>
  )
}
