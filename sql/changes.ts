import { ChecklistNotFound, Compacted } from '../lib/errors.ts'
import type { Change, Changes } from '../schemas/change.ts'
import type { Sql } from './executor.ts'
import { isLast, type Weighed, within } from './page.ts'

/** A row of the log, where what is absent from a change is null. */
type ChangeRow = { [Key in keyof Omit<Change, 'before' | 'after'>]-?: Change[Key] | null } & {
  /** JSON */
  before: string | null
  after: string | null
} & Kept &
  Weighed

/** How much of a list's history there is, where the list belongs, and the head of the log in the same snapshot. */
interface Kept {
  head: number
  oldest: number
  projectId: string
  pos: number
}

export interface ChangesAsked {
  since: number
  /** changes at most */
  limit: number
  /** Weight at which a page ends before its limit; the last change may exceed it. */
  bytes: number
  /** only changes of this item */
  item?: string
}

/**
 * Returns the changes of a checklist after revision `since`, in order, as many as fit; also of a deleted one,
 * so that clients learn who deleted it. Throws ChecklistNotFound when there is none or the actor is not a
 * member, Compacted when `since` is older than what is kept, or a revision that the list never had.
 */
export async function readChanges(
  sql: Sql,
  actorId: string,
  checklistId: string,
  { since, limit, bytes, item }: ChangesAsked
): Promise<Changes & Pick<Kept, 'projectId' | 'pos'>> {
  const most = { rows: limit, bytes }
  const rows = await sql<ChangeRow[]>`
    select
      checklist_revs.rev as head,
      coalesce((select min(rev) from events where checklist_id = checklists.id), checklist_revs.rev + 1) as oldest,
      project_id as "projectId",
      (select max(pos) from events) as pos,
      change.*
    from checklists
    join project_members using (project_id)
    join checklist_revs on checklist_id = checklists.id
    left join lateral (${within(
      sql,
      most,
      sql`
      rev, kind, item_id as "itemId", before::text, after::text,
      actor_id as "actorId", op_id as "opId", source, at`,
      sql`
      select pos
      from events
      where checklist_id = checklists.id
      and rev > ${since}
      ${item === undefined ? sql`` : sql`and item_id = ${item}`}
      order by rev`
    )}) as change on true
    where checklists.id = ${checklistId}
    and user_id = ${actorId}
    order by change.rev
  `
  const [first] = rows
  if (!first) throw new ChecklistNotFound()
  const { head, oldest, projectId, pos } = first
  // Revisions have no gap: with the one after `since` all that follow are there.
  if (since > head || (since < head && oldest > since + 1)) throw new Compacted()
  const page = first.rev === null ? [] : rows
  const changes = page.map(toChange)
  // A page that is not full says that nothing more has happened up to the head.
  const to = isLast(page, most) ? head : (changes.at(-1)?.rev ?? since)
  return { from: since + 1, to, head, changes, projectId, pos }
}

function toChange({ rev, kind, itemId, before, after, actorId, opId, source, at }: ChangeRow) {
  return {
    rev,
    kind,
    itemId: itemId ?? undefined,
    before: before === null ? undefined : JSON.parse(before),
    after: after === null ? undefined : JSON.parse(after),
    actorId,
    opId,
    source,
    at
  } as Change
}
