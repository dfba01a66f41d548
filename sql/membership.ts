import type { Fragment, Row } from 'postgres'
import { Forbidden, ProjectNotFound } from '../lib/errors.ts'
import { withActor } from './actor.ts'
import type { Sql } from './executor.ts'

/**
 * Returns CTEs for a write in a project. `membership` has no row when the actor is not a member. Its column
 * `is_allowed` is true when the role allows the write.
 *
 * The locks last until COMMIT, so writes in one project run one after the other, and the role of the actor does not
 * change meanwhile. The project is locked first: in the other order, a member who leaves the project and an owner who
 * deletes it could deadlock.
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

/** Returns the row of a `withMember` statement. Throws ProjectNotFound when there is no row, or Forbidden. */
export function requireAllowed<Result>(row: Row | undefined): Result {
  if (!row) throw new ProjectNotFound()
  if (!row.isAllowed) throw new Forbidden()
  return row as Result
}
