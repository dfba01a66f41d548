import type { Fragment, Row } from 'postgres'
import { Forbidden, ProjectNotFound } from '../lib/errors.ts'
import { withActor } from './actor.ts'
import type { Sql } from './executor.ts'

/**
 * Returns the CTEs for a statement that writes in a project: `with ${withMember(…)}, …`. The CTE `membership` is the
 * actor's membership, without a row when the actor is not a member. Its column `is_allowed` is true when the role
 * allows the write.
 *
 * The locks are held until COMMIT: writes in one project run one after the other, and the role of the actor does not
 * change meanwhile. The project is locked before the member. In the other order, a member who leaves the project and an
 * owner who deletes it could deadlock.
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
 * the project does not exist or the actor is not a member. Throws Forbidden when the role does not allow the write.
 */
export function requireAllowed<Result>(row: Row | undefined): Result {
  if (!row) throw new ProjectNotFound()
  if (!row.isAllowed) throw new Forbidden()
  return row as Result
}
