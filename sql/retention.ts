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
 * Moves the floor of the feed past the next events that are older than the feed is kept, and deletes those
 * that belong to no checklist. A cursor below the floor gets `reset`. Returns how many it passed.
 *
 * The floor stops at the first event that is young. Time stamps come from the database's clock, which may
 * have been ahead: a stamp in the future tells nothing, and such an event is as old as the next one with a
 * stamp of the past.
 */
export async function deleteOldEvents(sql: Sql, { feedDays, limit }: Retention): Promise<number> {
  const { isOld, isYoung } = ages(sql, feedDays)
  const [{ count }] = await sql<[{ count: number }]>`
    with following as (
      select pos, at, checklist_id
      from events
      where pos > (select floor_pos from log_state)
      order by pos
      limit ${limit}
    ),
    stamped as (
      select pos, at from following
      union all
      (
        select pos, at
        from events
        where pos > (select max(pos) from following)
        and at <= now()
        order by pos
        limit 1
      )
    ),
    old as (
      select max(pos) as pos
      from stamped
      where ${isOld}
      and pos < coalesce((select min(pos) from stamped where ${isYoung}), ${Number.MAX_SAFE_INTEGER})
    ),
    passed as (
      select pos, checklist_id
      from following
      where pos <= (select pos from old)
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
 * Deletes changes of checklists that are old, below the floor of the feed and not among the last of their
 * list; all old ones of a list that was deleted. Returns how many. Later requests for them get 410.
 *
 * What goes is always the beginning of a history, whatever its time stamps say: readers take the first
 * revision for a sign that all later ones are there. Stamps in the future count as in `deleteOldEvents`.
 */
export async function deleteOldChanges(
  sql: Sql,
  { historyDays, historyChanges, limit }: Retention
): Promise<number> {
  const { isOld, isYoung } = ages(sql, historyDays)
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
        select pos, rev, max(rev) filter (where ${isOld}) over () as last_old
        from (
          select pos, rev, at, count(*) filter (where ${isYoung}) over (order by rev) as young
          from (
            select pos, rev, at
            from events
            where checklist_id = excess.checklist_id
            and rev <= excess.upto
            and pos <= (select floor_pos from log_state)
            order by rev
            limit ${limit}
          ) as first
        ) as counted
        where young = 0
        order by rev
      ) as oldest
      where upto > 0
      and rev <= last_old
      limit ${limit}
    )`
  return count
}

// An event with a stamp in the future is neither.
const ages = (sql: Sql, days: number) => ({
  isOld: sql`at < now() - make_interval(days => ${days})`,
  isYoung: sql`at between now() - make_interval(days => ${days}) and now()`
})

/** Drops the results of old operations: sent again after that, one is decided anew. Answers how many. */
export function deleteOldResults(sql: Sql, { operationDays, limit }: Retention): Promise<number> {
  return deleteOlder(sql, { table: 'operations', since: 'decided_at', days: operationDays, limit })
}

/** Drops items that were deleted as long ago as changes are kept. Answers how many. */
export function deleteOldItems(sql: Sql, { historyDays, limit }: Retention): Promise<number> {
  return deleteOlder(sql, { table: 'deleted_items', since: 'deleted_at', days: historyDays, limit })
}

/** Drops conflicts that were resolved as long ago as changes are kept. Answers how many. */
export function deleteOldConflicts(sql: Sql, { historyDays, limit }: Retention): Promise<number> {
  return deleteOlder(sql, { table: 'conflicts', since: 'resolved_at', days: historyDays, limit })
}

async function deleteOlder(
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
