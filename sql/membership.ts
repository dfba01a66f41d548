import type { Fragment, Row } from 'postgres'
import { Forbidden, ProjectNotFound } from '../lib/errors.ts'
import { withActor } from './actor.ts'
import type { Sql } from './executor.ts'

/**
 * The head of every statement that writes in a project, `with ${withMember(…)}, …`: `me` is the
 * membership of the actor, if there is one, and whether its role allows the write.
 *
 * Writers in one project take turns, and a role stays what it is until what it allowed is committed.
 * The project is locked before the members: the other way round, a member who leaves and an owner
 * who deletes the project would wait for each other.
 */
export function withMember(sql: Sql, actorId: string, projectId: string, isAllowed: Fragment) {
  return sql`
    ${withActor(sql, actorId)},
    project as materialized (
      select projects.id
      from projects, acting
      where projects.id = ${projectId}
      for no key update of projects
    ),
    me as materialized (
      select role, ${isAllowed} as is_allowed
      from project
      join project_members on project_id = project.id
      where user_id = ${actorId}
      for share of project_members
    )`
}

/**
 * What such a statement found, whose columns begin with `is_allowed as "isAllowed"`.
 * Throws ProjectNotFound for a stranger, as if the project were not there, and Forbidden.
 */
export function requireAllowed<Result>(row: Row | undefined): Result {
  if (!row) throw new ProjectNotFound()
  if (!row.isAllowed) throw new Forbidden()
  return row as Result
}
