import { type Static, Type } from '@sinclair/typebox'
import { Line } from './scalars.ts'

/** ASCII only: what two people see as the same address is then one string, but for case. */
export const Email = Type.String({
  format: 'email',
  maxLength: 254,
  description: 'ASCII; letter case does not matter',
  examples: ['ann@example.com']
})

export const PersonName = Line('name of a person', 'Ann')

const UserId = Type.String({ format: 'uuid', examples: ['0198c5a2-7f43-7cc1-9d2e-5b8c6a1e4f00'] })

export const User = Type.Object({ id: UserId, email: Email, name: PersonName })
export type User = Static<typeof User>

export const Me = Type.Object({ id: UserId, name: PersonName })
export type Me = Static<typeof Me>

export const Rename = Type.Object({ name: PersonName }, { additionalProperties: false })
