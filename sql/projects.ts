import { BadToken, ProjectNotFound } from '../lib/errors.ts'
import type { PageQuery } from '../schemas/page.ts'
import type { Project, Projects } from '../schemas/project.ts'
import { withActor } from './actor.ts'
import type { Sql } from './executor.ts'
import { requireAllowed, withMember } from './membership.ts'
import { keyset, toPage } from './page.ts'

/** Creates a project, with the actor as its owner. Throws BadToken when the account of the actor was deleted. */
export async function createProject(sql: Sql, actorId: string, name: string): Promise<Project> {
  const [project] = await sql<[Project?]>`
    with ${withActor(sql, actorId)},
    project as (
      insert into projects (name)
      select ${name}
      from actor_settings, users
      where users.id = ${actorId}
      returning id, name, created_at
    ),
    owner as (
      insert into project_members (project_id, user_id, role)
      select id, ${actorId}, 'owner'
      from project
      returning role
    )
    select id, name, role, created_at as "createdAt"
    from project, owner
  `
  if (!project) throw new BadToken()
  return project
}

/** Returns a page of the projects of the actor, in order of creation. */
export async function listProjects(sql: Sql, actorId: string, query: PageQuery): Promise<Projects> {
  const { rowCursor, isAfter, order } = keyset(sql, 'created_at', 'id', query)
  const rows = await sql<(Project & { rowCursor: string })[]>`
    select id, name, role, created_at as "createdAt", ${rowCursor}
    from projects
    join project_members on project_id = projects.id
    where user_id = ${actorId}
    and ${isAfter}
    ${order}
  `
  const { page, next } = toPage(rows, query)
  return { projects: page, next }
}

/** Returns a project. Throws ProjectNotFound when the project does not exist or the actor is not a member. */
export async function findProject(sql: Sql, actorId: string, projectId: string): Promise<Project> {
  const [project] = await sql<[Project?]>`
    select id, name, role, created_at as "createdAt"
    from projects
    join project_members on project_id = projects.id
    where projects.id = ${projectId}
    and user_id = ${actorId}
  `
  if (!project) throw new ProjectNotFound()
  return project
}

/** Renames a project. Throws ProjectNotFound, or Forbidden when the actor is not an owner. */
export async function renameProject(
  sql: Sql,
  actorId: string,
  projectId: string,
  name: string
): Promise<Project> {
  const [row] = await sql`
    with ${withMember(sql, actorId, projectId, sql`role = 'owner'`)},
    renamed as (
      update projects
      set name = ${name}
      from membership
      where projects.id = ${projectId}
      and membership.is_allowed
      returning projects.id, projects.name, projects.created_at as "createdAt"
    )
    select membership.is_allowed as "isAllowed", membership.role, renamed.*
    from membership
    left join renamed on true
  `
  return requireAllowed<Project>(row)
}

/** Deletes a project. Throws ProjectNotFound, or Forbidden when the actor is not an owner. */
export async function deleteProject(sql: Sql, actorId: string, projectId: string): Promise<void> {
  const [row] = await sql`
    with ${withMember(sql, actorId, projectId, sql`role = 'owner'`)},
    deleted as (
      delete from projects
      using membership
      where projects.id = ${projectId}
      and membership.is_allowed
    )
    select is_allowed as "isAllowed"
    from membership
  `
  requireAllowed(row)
}
