import { ChecklistNotFound, Compacted } from '../lib/errors.ts'
import type { Sql } from '../plugins/db.ts'
import type { Change, Changes } from '../schemas/change.ts'

/** A row of the log, where what is absent from a change is null. */
type ChangeRow = { [Key in keyof Change]-?: Change[Key] | null } & {
  head: number
  projectId: string
}

/**
 * What happened to a checklist after revision `since`, in order; also to a deleted one, so that
 * everybody learns who deleted it. Throws ChecklistNotFound when there is none or the actor is not a
 * member, Compacted when `since` is older than what is kept, or a revision that the list never had.
 */
export async function readChanges(
  sql: Sql,
  actorId: string,
  checklistId: string,
  since: number,
  limit: number
): Promise<Changes & { projectId: string }> {
  const rows = await sql<ChangeRow[]>`
    select checklist_revs.rev as head, project_id as "projectId", change.*
    from checklists
    join project_members using (project_id)
    join checklist_revs on checklist_id = checklists.id
    left join lateral (
      select
        rev, kind, item_id as "itemId", before, after,
        actor_id as "actorId", op_id as "opId", source, at
      from events
      where checklist_id = checklists.id
      and rev > ${since}
      order by rev
      limit ${limit}
    ) as change on true
    where checklists.id = ${checklistId}
    and user_id = ${actorId}
    order by change.rev
  `
  const [first] = rows
  if (!first) throw new ChecklistNotFound()
  const { head, projectId } = first
  // Revisions have no gap: what does not go on from `since` was dropped in between.
  if (since !== head && first.rev !== since + 1) throw new Compacted()
  const changes = first.rev === null ? [] : rows.map(toChange)
  return { from: since + 1, to: since + changes.length, head, changes, projectId }
}

function toChange({ head, projectId, itemId, before, after, ...change }: ChangeRow): Change {
  return {
    ...(change as Change),
    itemId: itemId ?? undefined,
    before: before ?? undefined,
    after: after ?? undefined
  }
}
