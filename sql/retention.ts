import type { Sql } from './executor.ts'

export interface Retention {
  feedDays: number
  /** the age at which changes of a checklist, deleted items and resolved conflicts are deleted */
  historyDays: number
  /** the number of newest changes of each checklist that are never deleted */
  historyChanges: number
  operationDays: number
  /** maximum number of rows that one statement deletes, and of checklists that it considers; at least 2 */
  limit: number
}

/**
 * Raises the floor of the feed above the next old events, and deletes those that belong to no checklist. Returns how
 * many events are newly below the floor. A stream with a cursor below the floor receives `reset`. The floor stays below
 * the first event that is not old. An event with a time stamp in the future (the clock was wrong) counts as old when
 * the next event with a time stamp in the past is old.
 */
export async function deleteOldEvents(sql: Sql, { feedDays, limit }: Retention): Promise<number> {
  const { isOld, isYoung } = ages(sql, feedDays)
  const [{ count }] = await sql<[{ count: number }]>`
    with next_events as (
      select pos, at, checklist_id
      from events
      where pos > (select floor_pos from log_state)
      order by pos
      limit ${limit}
    ),
    stamped as (
      select pos, at from next_events
      union all
      (
        select pos, at
        from events
        where pos > (select max(pos) from next_events)
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
      from next_events
      where pos <= (select pos from old)
    ),
    raised as (
      update log_state
      set floor_pos = greatest(floor_pos, (select max(pos) from passed))
      where exists (select from passed)
    ),
    deleted as (
      delete from events
      where pos in (select pos from passed where checklist_id is null)
    )
    select count(*) from passed`
  return count
}

/**
 * Deletes changes of checklists that are older than `historyDays`, not above the floor of the feed, and not among the
 * newest `historyChanges` of a list that exists. A request for deleted changes receives status 410. Only the beginning
 * of a history is deleted, whatever the time stamps are: when readChanges finds one revision, it relies on all later
 * revisions being stored.
 *
 * Considers the next `limit` lists from the id `from` on, and deletes up to `limit` of their changes. Returns the id
 * from which the next call must continue, or null after the last list. Call it in a transaction.
 */
export async function deleteOldChanges(
  sql: Sql,
  { historyDays, historyChanges, limit }: Retention,
  from: string | null
): Promise<string | null> {
  const { isOld, isYoung } = ages(sql, historyDays)
  const first = from ?? '00000000-0000-0000-0000-000000000000'
  // In the order of the index, PostgreSQL stops at the first young change of a list. To sort them, it would read all.
  // It expects many rows, so that it would compile each statement for 100 ms.
  await sql`select set_config('enable_sort', 'off', true), set_config('jit', 'off', true)`
  const [step] = await sql<[{ last: string | null; deleted: number }]>`
    with lists as (
      select checklist_id, rev, row_number() over (order by checklist_id) as number
      from checklist_revs
      where checklist_id >= ${first}
      order by checklist_id
      limit ${limit}
    ),
    excess as (
      select
        checklist_id,
        case when exists (select from checklists where id = checklist_id) then rev - ${historyChanges} else rev end as upto
      from lists
    ),
    deleted as (
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
      )
      returning pos
    )
    select
      (select checklist_id from lists where number = ${limit}) as last,
      (select count(*) from deleted) as deleted`
  return step.deleted < limit ? step.last : first
}

// An event with a time stamp in the future is neither old nor young.
const ages = (sql: Sql, days: number) => ({
  isOld: sql`at < now() - make_interval(days => ${days})`,
  isYoung: sql`at between now() - make_interval(days => ${days}) and now()`
})

/** Deletes old results, and returns how many. An operation that is sent again after that is decided anew. */
export function deleteOldResults(sql: Sql, { operationDays, limit }: Retention): Promise<number> {
  return deleteOlder(sql, { table: 'operations', since: 'decided_at', days: operationDays, limit })
}

/** Deletes the rows of items deleted `historyDays` ago, which can then no longer be restored. Returns how many. */
export function deleteOldItems(sql: Sql, { historyDays, limit }: Retention): Promise<number> {
  return deleteOlder(sql, { table: 'deleted_items', since: 'deleted_at', days: historyDays, limit })
}

/** Deletes the conflicts that were resolved at least `historyDays` ago, and returns how many. */
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
