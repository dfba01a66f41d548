import { AlreadyMember, MemberNotFound, ProjectNotFound, UserNotFound } from '../lib/errors.ts'
import type { Member, Members, NewMember } from '../schemas/member.ts'
import type { PageQuery } from '../schemas/page.ts'
import type { Role } from '../schemas/project.ts'
import type { Sql } from './executor.ts'
import { requireAllowed, withMember } from './membership.ts'
import { keyset, toPage } from './page.ts'

/** Returns a page of the members, in the order in which they were added. Throws ProjectNotFound. */
export async function listMembers(
  sql: Sql,
  actorId: string,
  projectId: string,
  query: PageQuery
): Promise<Members> {
  const { rowCursor, isAfter, order } = keyset(sql, 'added_at', 'user_id', query)
  const rows = await sql<(Member & { rowCursor: string })[]>`
    select member.*
    from project_members as membership
    left join lateral (
      select user_id as "userId", name, email, role, added_at as "addedAt", ${rowCursor}
      from project_members
      join users on users.id = user_id
      where project_id = membership.project_id
      and ${isAfter}
      ${order}
    ) as member on true
    where membership.project_id = ${projectId}
    and membership.user_id = ${actorId}
  `
  if (rows.length === 0) throw new ProjectNotFound()
  const { page, next } = toPage(
    rows.filter(({ userId }) => userId),
    query
  )
  return { members: page, next }
}

/** Returns the id of the user with this canonical email, or undefined. Throws ProjectNotFound or Forbidden. */
export async function findUserToAdd(
  sql: Sql,
  actorId: string,
  projectId: string,
  email: string
): Promise<string | undefined> {
  const [row] = await sql`
    select role = 'owner' as "isAllowed", users.id
    from project_members
    left join users on email = ${email}
    where project_id = ${projectId}
    and user_id = ${actorId}
  `
  return requireAllowed<{ id: string | null }>(row).id ?? undefined
}

/** Adds the user with this canonical email. Throws ProjectNotFound, Forbidden, UserNotFound or AlreadyMember. */
export async function addMember(
  sql: Sql,
  actorId: string,
  projectId: string,
  { email, role }: NewMember
): Promise<Member> {
  const [row] = await sql`
    with ${withMember(sql, actorId, projectId, sql`role = 'owner'`)},
    new_member as materialized (
      select id, name, email
      from membership, users
      where membership.is_allowed
      and email = ${email}
      for key share of users
    ),
    added as (
      insert into project_members (project_id, user_id, role)
      select ${projectId}, id, ${role}
      from new_member
      on conflict do nothing
      returning role, added_at as "addedAt"
    )
    select membership.is_allowed as "isAllowed", new_member.id as "userId", name, email, added.*
    from membership
    left join new_member on true
    left join added on true
  `
  const member = requireAllowed<Partial<Member>>(row)
  if (!member.userId) throw new UserNotFound()
  if (!member.addedAt) throw new AlreadyMember()
  return member as Member
}

/** Throws ProjectNotFound, Forbidden, MemberNotFound, or LastOwner when the project would have no owner. */
export async function changeRole(
  sql: Sql,
  actorId: string,
  projectId: string,
  { userId, role }: { userId: string; role: Role }
): Promise<Member> {
  const [row] = await sql`
    with ${withMember(sql, actorId, projectId, sql`role = 'owner'`)},
    changed as (
      update project_members
      set role = ${role}
      from membership
      where project_id = ${projectId}
      and user_id = ${userId}
      and membership.is_allowed
      returning user_id, project_members.role, added_at
    )
    select
      membership.is_allowed as "isAllowed", changed.user_id as "userId", users.name, users.email,
      changed.role, changed.added_at as "addedAt"
    from membership
    left join changed on true
    left join users on users.id = changed.user_id
  `
  const member = requireAllowed<Partial<Member>>(row)
  if (!member.userId) throw new MemberNotFound()
  return member as Member
}

/** Lets owners remove every member, and other members only themselves. Throws the errors of `changeRole`. */
export async function removeMember(
  sql: Sql,
  actorId: string,
  projectId: string,
  userId: string
): Promise<void> {
  const isAllowed = sql`role = 'owner' or user_id = ${userId}`
  const [row] = await sql`
    with ${withMember(sql, actorId, projectId, isAllowed)},
    removed as (
      delete from project_members
      using membership
      where project_id = ${projectId}
      and user_id = ${userId}
      and membership.is_allowed
      returning user_id
    )
    select membership.is_allowed as "isAllowed", removed.user_id as "userId"
    from membership
    left join removed on true
  `
  const { userId: removed } = requireAllowed<{ userId: string | null }>(row)
  if (!removed) throw new MemberNotFound()
}
