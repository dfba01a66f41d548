import type { Fragment, Row } from 'postgres'
import { Forbidden, ProjectNotFound } from '../lib/errors.ts'
import { withActor } from './actor.ts'
import type { Sql } from './executor.ts'

/**
 * Returns the CTEs of every write in a project: `with ${withMember(…)}, …`. `membership` is that of the actor, no row
 * when there is none, and `is_allowed` whether the role allows the write.
 *
 * The locks make writers in one project take turns and keep the role until the write is committed. The project is
 * locked before the member: in the other order, a member who leaves and an owner who deletes the project would
 * deadlock.
 */
export function withMember(sql: Sql, actorId: string, projectId: string, isAllowed: Fragment) {
  return sql`
    ${withActor(sql, actorId)},
    project as materialized (
      select projects.id
      from projects, actor_settings
      where projects.id = ${projectId}
      for no key update of projects
    ),
    membership as materialized (
      select role, ${isAllowed} as is_allowed
      from project
      join project_members on project_id = project.id
      where user_id = ${actorId}
      for share of project_members
    )`
}

/**
 * Returns the row of a statement that begins with `withMember` and selects `"isAllowed"`. Throws ProjectNotFound when
 * the project does not exist or the actor is not a member, Forbidden when the role does not allow the write.
 */
export function requireAllowed<Result>(row: Row | undefined): Result {
  if (!row) throw new ProjectNotFound()
  if (!row.isAllowed) throw new Forbidden()
  return row as Result
}
