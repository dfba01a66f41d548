import { ChecklistDeleted, ChecklistNotFound, ProjectNotFound } from '../lib/errors.ts'
import type { Checklist, ChecklistSummary, Checklists } from '../schemas/checklist.ts'
import type { PageQuery } from '../schemas/page.ts'
import type { Role } from '../schemas/project.ts'
import type { Sql } from './executor.ts'
import { requireAllowed, withMember } from './membership.ts'
import { keyset, toPage } from './page.ts'

/** Creates a checklist. Throws ProjectNotFound, or Forbidden when the actor is neither owner nor editor. */
export async function createChecklist(
  sql: Sql,
  actorId: string,
  projectId: string,
  title: string
): Promise<ChecklistSummary> {
  const [row] = await sql`
    with ${withMember(sql, actorId, projectId, sql`role <> 'viewer'`)},
    created as (
      insert into checklists (project_id, title)
      select ${projectId}, ${title}
      from membership
      where membership.is_allowed
      returning id
    )
    select membership.is_allowed as "isAllowed", created.id
    from membership
    left join created on true
  `
  const { id } = requireAllowed<{ id: string }>(row)
  // Revisions are numbered during COMMIT, so the statement above cannot return the revision of the new checklist.
  const [checklist] = await sql<[ChecklistSummary?]>`
    select ${summary(sql)}
    from checklists
    join checklist_revs on checklist_id = checklists.id
    where checklists.id = ${id}
  `
  if (!checklist) throw new ChecklistNotFound()
  return checklist
}

/** Returns a page of the checklists that are not deleted, in order of creation. Throws ProjectNotFound. */
export async function listChecklists(
  sql: Sql,
  actorId: string,
  projectId: string,
  query: PageQuery
): Promise<Checklists> {
  const { rowCursor, isAfter, order } = keyset(sql, 'created_at', 'id', query)
  const rows = await sql<(ChecklistSummary & { rowCursor: string })[]>`
    select checklist.*
    from project_members as membership
    left join lateral (
      select ${summary(sql)}, ${rowCursor}
      from checklists
      join checklist_revs on checklist_id = checklists.id
      where project_id = membership.project_id
      and deleted_at is null
      and ${isAfter}
      ${order}
    ) as checklist on true
    where membership.project_id = ${projectId}
    and membership.user_id = ${actorId}
  `
  if (rows.length === 0) throw new ProjectNotFound()
  const { page, next } = toPage(
    rows.filter(({ id }) => id),
    query
  )
  return { checklists: page, next }
}

/** A checklist, and the newest position of the log at that moment. */
export type ChecklistAt = Checklist & { pos: number }

/**
 * Returns a checklist as each of several users sees it, all from one snapshot of the database. Users with the same role
 * receive the same object. The result is ChecklistNotFound for a user who is no member, ChecklistDeleted for all others
 * when it was deleted.
 */
export async function readChecklists(
  sql: Sql,
  actorIds: string[],
  checklistId: string
): Promise<(ChecklistAt | Error)[]> {
  const [found] = await sql<
    [(Omit<ChecklistAt, 'role'> & { isDeleted: boolean; roles: Record<string, Role> })?]
  >`
    select
      checklists.id,
      project_id as "projectId",
      title,
      deleted_at is not null as "isDeleted",
      roles,
      rev,
      log_epoch() as epoch,
      coalesce((select max(events.pos) from events), 0) as pos,
      coalesce((
        select jsonb_agg(item_json(item) order by position, id)
        from checklist_items as item
        where checklist_id = checklists.id
      ), '[]') as items,
      coalesce((
        select jsonb_agg(conflict_json(conflict) order by opened_rev, id)
        from conflicts as conflict
        where checklist_id = checklists.id
        and resolved_at is null
      ), '[]') as conflicts
    from checklists
    join checklist_revs on checklist_id = checklists.id
    cross join lateral (
      select jsonb_object_agg(user_id, role) as roles
      from project_members
      where project_id = checklists.project_id
      and user_id = any (${actorIds}::uuid[])
    ) as members
    where checklists.id = ${checklistId}
    and roles is not null
  `
  if (!found) return actorIds.map(() => new ChecklistNotFound())
  const { isDeleted, roles, id, projectId, title, ...rest } = found
  const seen = new Map(
    Object.values(roles).map(role => [role, { id, projectId, title, role, ...rest }])
  )
  return actorIds.map(actorId => {
    const role = roles[actorId]
    const checklist = role && seen.get(role)
    if (!checklist) return new ChecklistNotFound()
    return isDeleted ? new ChecklistDeleted() : checklist
  })
}

const summary = (sql: Sql) => sql`
  checklists.id, project_id as "projectId", title, rev, updated_at as "updatedAt"`
