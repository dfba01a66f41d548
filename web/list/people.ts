import { signal } from '@preact/signals'
import type { Client, Member } from '../../client/index.ts'
import type { NameOf } from './names.ts'

/** Follows the names of the users of one checklist, until `stop`. `me` is the id of this user. */
export function followPeople(client: Client, me: string) {
  const members = signal<readonly Member[] | undefined>(undefined)
  /** names of users who were seen on this screen */
  const names = new Map<string, string>()
  let projectId: string | undefined
  let stop = () => {}

  return {
    /** Reads `members`, so that a component renders again when they are loaded. */
    nameOf(userId: string | null): ReturnType<NameOf> {
      if (userId === null) return 'a database change'
      if (userId === me) return 'you'
      const name = names.get(userId)
      return (members.value && name) || name || (members.value ? 'a former member' : 'another user')
    },

    see,

    /** Follows the members of a project. */
    follow(next: string) {
      if (next === projectId) return
      projectId = next
      stop()
      stop = client.project(next).members.subscribe(all => {
        members.value = all
        see(all ?? [])
      })
    },

    stop: () => stop()
  }

  function see(users: readonly { userId: string; name: string }[]) {
    for (const { userId, name } of users) names.set(userId, name)
  }
}
