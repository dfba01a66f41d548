import type { Sql } from './executor.ts'

/** How long things are kept, and how much one statement may do. */
export interface Retention {
  /** of the feed, days */
  feedDays: number
  /** of a checklist's changes, days, and how many of its last are kept however old they are */
  historyDays: number
  historyChanges: number
  /** of what became of an operation, days */
  operationDays: number
  /** rows */
  limit: number
}

/**
 * Moves the floor of the feed past the next events that are older than the feed is kept, and drops those
 * that belong to no checklist. A cursor below the floor answers `reset`. Answers how many it passed.
 */
export async function raiseFloor(sql: Sql, { feedDays, limit }: Retention): Promise<number> {
  const [{ count }] = await sql<[{ count: number }]>`
    with following as (
      select pos, at, checklist_id
      from events
      where pos > (select floor_pos from log_state)
      order by pos
      limit ${limit}
    ),
    passed as (
      select * from following
      where at < now() - make_interval(days => ${feedDays})
    ),
    raised as (
      update log_state
      set floor_pos = greatest(floor_pos, (select max(pos) from passed))
      where exists (select from passed)
    ),
    dropped as (
      delete from events
      where pos in (select pos from passed where checklist_id is null)
    )
    select count(*) from passed`
  return count
}

/**
 * Drops changes of checklists that are old, below the floor of the feed and not among the last of their
 * list; all old ones of a list that is no more. Answers how many. A client that asks for them is told 410.
 */
export async function trimHistories(
  sql: Sql,
  { historyDays, historyChanges, limit }: Retention
): Promise<number> {
  const { count } = await sql`
    with excess as (
      select
        checklist_id,
        case when exists (select from checklists where id = checklist_id) then rev - ${historyChanges} else rev end as upto
      from checklist_revs
    )
    delete from events
    where pos in (
      select oldest.pos
      from excess
      cross join lateral (
        select pos, at
        from events
        where checklist_id = excess.checklist_id
        and rev <= excess.upto
        order by rev
        limit ${limit}
      ) as oldest
      where upto > 0
      and at < now() - make_interval(days => ${historyDays})
      and pos <= (select floor_pos from log_state)
      limit ${limit}
    )`
  return count
}

/** Drops the results of old operations: sent again after that, one is decided anew. Answers how many. */
export function forgetOperations(sql: Sql, { operationDays, limit }: Retention): Promise<number> {
  return forget(sql, { table: 'operations', since: 'decided_at', days: operationDays, limit })
}

/** Drops items that were deleted as long ago as changes are kept. Answers how many. */
export function forgetItems(sql: Sql, { historyDays, limit }: Retention): Promise<number> {
  return forget(sql, { table: 'deleted_items', since: 'deleted_at', days: historyDays, limit })
}

/** Drops conflicts that were resolved as long ago as changes are kept. Answers how many. */
export function forgetConflicts(sql: Sql, { historyDays, limit }: Retention): Promise<number> {
  return forget(sql, { table: 'conflicts', since: 'resolved_at', days: historyDays, limit })
}

async function forget(
  sql: Sql,
  { table, since, days, limit }: { table: string; since: string; days: number; limit: number }
): Promise<number> {
  const { count } = await sql`
    delete from ${sql(table)}
    where ctid = any (array(
      select ctid
      from ${sql(table)}
      where ${sql(since)} < now() - make_interval(days => ${days})
      limit ${limit}
      for update skip locked
    ))`
  return count
}
