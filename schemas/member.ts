import { type Static, Type } from '@sinclair/typebox'
import { Next } from './page.ts'
import { ProjectId, Role } from './project.ts'
import { Id, Timestamp } from './scalars.ts'
import { Email, PersonName } from './user.ts'

const MemberId = Id('id of the user')

export const Member = Type.Object(
  {
    userId: MemberId,
    name: PersonName,
    email: Email,
    role: Role,
    addedAt: Timestamp('time at which the user was added')
  },
  { title: 'Member', additionalProperties: false, description: 'A member of a project' }
)
export type Member = Static<typeof Member>

export const Members = Type.Object(
  { members: Type.Array(Member), next: Next },
  { additionalProperties: false, description: 'A page of members, the longest-standing first' }
)
export type Members = Static<typeof Members>

export const NewMember = Type.Object(
  { email: Email, role: Role },
  {
    additionalProperties: false,
    description: 'The user to add, by the email of their account, and their role'
  }
)
export type NewMember = Static<typeof NewMember>

export const RoleBody = Type.Object(
  { role: Role },
  { additionalProperties: false, description: 'The new role of the member' }
)

export const MemberParams = Type.Object({ projectId: ProjectId, userId: MemberId })
