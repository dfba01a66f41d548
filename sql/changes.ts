import { ChecklistNotFound, Compacted } from '../lib/errors.ts'
import type { Change, Changes } from '../schemas/change.ts'
import { changeColumns, isLastPage, type Sized, selectPage } from './event-page.ts'
import type { Sql } from './executor.ts'

/** An empty page is one row in which all fields of the change are null. */
type ChangeRow = { [Key in keyof Omit<Change, 'before' | 'after'>]-?: Change[Key] | null } & {
  /** JSON */
  before: string | null
  after: string | null
} & History &
  Sized

/** The state of a history, from the same database snapshot as the page. */
interface History {
  head: number
  /** oldest stored revision; head + 1 when no revision is stored */
  oldest: number
  projectId: string
  pos: number
}

export interface ChangesRequest {
  since: number
  limit: number
  /** maximum size of the changes in bytes; the last change may exceed it */
  bytes: number
  /** only changes of this item */
  item?: string
}

/**
 * Returns a page of the changes after revision `since`, also of a deleted checklist, because clients show who deleted
 * it. Throws ChecklistNotFound to users who are not members. Throws Compacted when changes after `since` have been
 * deleted, or when `since` is higher than the newest revision.
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
  // Revisions have no gaps: if revision `since + 1` is stored, all later revisions are stored too.
  if (since > head || (since < head && oldest > since + 1)) throw new Compacted()
  const page = first.rev === null ? [] : rows
  const changes = page.map(toChange)
  // `item` leaves changes out, so the last change of the last page may have a lower revision than the head.
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
