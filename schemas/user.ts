import { type Static, Type } from '@sinclair/typebox'
import { maximum } from './limits.ts'
import { Id, Line } from './scalars.ts'

/** An email address in ASCII, so that two addresses that look the same differ at most in letter case. */
export const Email = Type.String({
  format: 'email',
  maxLength: maximum.emailLength,
  description: 'email address, ASCII only; letter case does not matter',
  examples: ['ann@example.com']
})

export const PersonName = Line('Name of the user', 'Ann')

const UserId = Id('id of the user')

export const User = Type.Object(
  { id: UserId, email: Email, name: PersonName },
  { title: 'User', description: 'An account' }
)
export type User = Static<typeof User>

export const Me = Type.Object(
  { id: UserId, name: PersonName },
  { title: 'Me', description: 'The current user' }
)
export type Me = Static<typeof Me>

export const Rename = Type.Object(
  { name: PersonName },
  { additionalProperties: false, description: 'The new name of the user' }
)
