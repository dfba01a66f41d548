import type { LogEvent } from '../lib/event.ts'
import type { Sql } from './executor.ts'
import { isLast, type Most, type Weighed, within } from './page.ts'

/** Where the log stands: which life of the database it is, its newest position, and from where on it is whole. */
export interface Head {
  epoch: string
  head: number
  floor: number
}

/** Some events in order, from one snapshot with where the log stands. */
export interface Page extends Head {
  events: LogEvent[]
  /** Whether no more than these were there to read. */
  isLast: boolean
}

type EventRow = Head & LogEvent & Weighed

/** The memberships of a user, from one snapshot with where the log stands. */
export interface Feed extends Head {
  projects: { projectId: string; sincePos: number; role: string }[]
}

export async function readHead(sql: Sql): Promise<Head> {
  const [row] = await sql<[Head]>`
    select ${head(sql)}
    from log_state`
  return row
}

/** Returns the next events after a position, within `most`. */
export async function readAfter(sql: Sql, pos: number, most: Most): Promise<Page> {
  const rows = await sql<EventRow[]>`
    select ${head(sql)}, event.*
    from ${state(sql)}
    left join lateral (${within(
      sql,
      most,
      columns(sql),
      sql`
      select pos
      from events
      where pos > ${pos}
      order by pos`
    )}) as event on true
    order by event.pos`
  return paged(rows, most)
}

/** Where a user belongs. */
export async function readMemberships(sql: Sql, userId: string): Promise<Feed> {
  const [feed] = await sql<[Feed]>`
    select
      ${head(sql)},
      coalesce((
        select jsonb_agg(jsonb_build_object('projectId', project_id, 'sincePos', since_pos, 'role', role))
        from project_members
        where user_id = ${userId}
      ), '[]') as projects
    from log_state`
  return feed
}

/**
 * Returns what a user is entitled to see again, after `pos` and up to the head of the feed, within `most`:
 * the same rule as `isVisible` in lib/event.ts.
 */
export async function readVisibleAfter(
  sql: Sql,
  { userId, feed, pos, most }: { userId: string; feed: Feed; pos: number; most: Most }
): Promise<Page> {
  const projects = feed.projects.map(({ projectId }) => projectId)
  const since = feed.projects.map(({ sincePos }) => sincePos)
  // Along the indexes by project and by user: events of other projects are not touched.
  const rows = await sql<EventRow[]>`
    select ${head(sql)}, event.*
    from ${state(sql)}
    left join lateral (${within(
      sql,
      most,
      columns(sql),
      sql`
      select theirs.pos
      from unnest(${projects}::uuid[], ${since}::bigint[]) as mine (project_id, since_pos)
      cross join lateral (
        select pos
        from events
        where project_id is not null
        and (project_id, pos) > (mine.project_id, greatest(since_pos, ${pos}))
        and (project_id, pos) <= (mine.project_id, ${feed.head})
        order by project_id, pos
        limit ${most.rows}
      ) as theirs
      union
      select pos
      from events
      where user_id = ${userId}
      and pos > ${pos}
      and pos <= ${feed.head}
      and (project_id = any (${projects}::uuid[]) or kind = 'member.removed')
      order by pos`
    )}) as event on true
    order by event.pos`
  return paged(rows, most)
}

/** Makes every cursor unknown, by giving the database another epoch than this one; once, whoever else does. */
export async function renewEpoch(sql: Sql, epoch: string): Promise<void> {
  await sql.begin(async tx => {
    await tx`lock table log_state in share row exclusive mode`
    await tx`update log_state set generation = generation + 1 where log_epoch() = ${epoch}`
  })
}

/** Tells every node that something happened, or, with a payload, that this node is alive. */
export async function notify(sql: Sql, payload = ''): Promise<void> {
  await sql`select pg_notify('concord', ${payload})`
}

// Subqueries, so that they are asked once and not once a row.
const head = (sql: Sql) => sql`
  (select log_epoch()) as epoch,
  greatest((select max(pos) from events), floor_pos) as head,
  floor_pos as floor`

// Without the limit a plan expects two thousand rows in this table of one, and stores the page away for the next.
const state = (sql: Sql) => sql`(select floor_pos from log_state limit 1) as log_state`

const columns = (sql: Sql) => sql`
  events.pos, kind, events.project_id as "projectId", checklist_id as "checklistId", rev, item_id as "itemId",
  user_id as "userId", before::text, after::text, actor_id as "actorId", op_id as "opId", source, at`

// A page without events is one row of nulls.
function paged(rows: EventRow[], most: Most): Page {
  const { epoch, head, floor } = rows[0] as EventRow
  const events = rows.filter(({ pos }) => pos !== null)
  return { epoch, head, floor, events, isLast: isLast(events, most) }
}
