import { ChecklistNotFound, Compacted } from '../lib/errors.ts'
import type { Change, Changes } from '../schemas/change.ts'
import { changeColumns, isLastPage, type Sized, selectPage } from './event-page.ts'
import type { Sql } from './executor.ts'

/** A row of a page: an absent field of a change is null, and so are all of them when the page is empty. */
type ChangeRow = { [Key in keyof Omit<Change, 'before' | 'after'>]-?: Change[Key] | null } & {
  /** JSON */
  before: string | null
  after: string | null
} & History &
  Sized

/** The history of a checklist, from the snapshot of the page. */
interface History {
  /** newest revision of the checklist */
  head: number
  /** oldest revision that is stored; head + 1 when none is */
  oldest: number
  projectId: string
  /** newest position of the log */
  pos: number
}

export interface ChangesRequest {
  since: number
  /** maximum number of changes */
  limit: number
  /** maximum size, which the last change may exceed */
  bytes: number
  /** only changes of this item */
  item?: string
}

/**
 * Returns a page of the changes of a checklist after revision `since`, in order. A deleted checklist has changes too,
 * so that clients learn who deleted it. Throws ChecklistNotFound when there is none or the actor is not a member,
 * Compacted when changes after `since` have been deleted or the list has not reached that revision.
 */
export async function readChanges(
  sql: Sql,
  actorId: string,
  checklistId: string,
  { since, limit, bytes, item }: ChangesRequest
): Promise<Changes & Pick<History, 'projectId' | 'pos'>> {
  const limits = { rows: limit, bytes }
  const positions = sql`
    select pos
    from events
    where checklist_id = checklists.id
    and rev > ${since}
    ${item === undefined ? sql`` : sql`and item_id = ${item}`}
    order by rev`
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
    left join lateral (${selectPage(sql, limits, changeColumns(sql), positions)}) as change on true
    where checklists.id = ${checklistId}
    and user_id = ${actorId}
    order by change.rev
  `
  const [first] = rows
  if (!first) throw new ChecklistNotFound()
  const { head, oldest, projectId, pos } = first
  // Revisions have no gap: if the one after `since` is stored, all later ones are.
  if (since > head || (since < head && oldest > since + 1)) throw new Compacted()
  const page = first.rev === null ? [] : rows
  const changes = page.map(toChange)
  // The last page reaches the head, even if its last change is older (`item` leaves changes out).
  const to = isLastPage(page, limits) ? head : (changes.at(-1)?.rev ?? since)
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
