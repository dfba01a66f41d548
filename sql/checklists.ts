import { ChecklistDeleted, ChecklistNotFound, ProjectNotFound } from '../lib/errors.ts'
import type { Checklist, ChecklistSummary, Checklists } from '../schemas/checklist.ts'
import type { PageQuery } from '../schemas/page.ts'
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

/** Returns a checklist and the newest position from one snapshot. Throws ChecklistNotFound or ChecklistDeleted. */
export async function readChecklist(
  sql: Sql,
  actorId: string,
  checklistId: string
): Promise<Checklist & { pos: number }> {
  const [checklist] = await sql<[(Checklist & { pos: number; isDeleted: boolean })?]>`
    select
      checklists.id,
      project_id as "projectId",
      title,
      deleted_at is not null as "isDeleted",
      role,
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
    join project_members using (project_id)
    join checklist_revs on checklist_id = checklists.id
    where checklists.id = ${checklistId}
    and user_id = ${actorId}
  `
  if (!checklist) throw new ChecklistNotFound()
  if (checklist.isDeleted) throw new ChecklistDeleted()
  return checklist
}

const summary = (sql: Sql) => sql`
  checklists.id, project_id as "projectId", title, rev, updated_at as "updatedAt"`
