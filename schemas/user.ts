import { type Static, Type } from '@sinclair/typebox'
import { maximum } from './limits.ts'
import { Id, Line } from './scalars.ts'

/** ASCII only: what two people see as the same address is then one string, but for case. */
export const Email = Type.String({
  format: 'email',
  maxLength: maximum.emailLength,
  description: 'ASCII; letter case does not matter',
  examples: ['ann@example.com']
})

export const PersonName = Line('Name of a person', 'Ann')

const UserId = Id('id of the user')

export const User = Type.Object(
  { id: UserId, email: Email, name: PersonName },
  { title: 'User', description: 'An account' }
)
export type User = Static<typeof User>

export const Me = Type.Object(
  { id: UserId, name: PersonName },
  { title: 'Me', description: 'Who asks' }
)
export type Me = Static<typeof Me>

export const Rename = Type.Object(
  { name: PersonName },
  { additionalProperties: false, description: 'What they are called from now on' }
)
