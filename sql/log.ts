import type { PendingQuery, Row } from 'postgres'
import type { LogEvent } from '../lib/event.ts'
import { eventColumns, isLastPage, type PageLimits, type Sized, selectPage } from './event-page.ts'
import type { Sql } from './executor.ts'

/** The state of the log. Events up to the position `floor` may have been deleted. */
export interface LogState {
  epoch: string
  committedHead: number
  floor: number
}

/** Events in order of position, with the state of the log from the same database snapshot. */
export interface EventPage extends LogState {
  events: LogEvent[]
  /** whether the query found no later event */
  isLast: boolean
}

type EventRow = LogState & LogEvent & Sized

/** The memberships of a user, with the state of the log from the same database snapshot. */
export interface Memberships extends LogState {
  projects: { projectId: string; sincePos: number; role: string }[]
}

export async function readLogState(sql: Sql): Promise<LogState> {
  const [row] = await sql<[LogState]>`
    select ${stateColumns(sql)}
    from log_state`
  return row
}

export async function readAfter(sql: Sql, pos: number, limits: PageLimits): Promise<EventPage> {
  const positions = sql`
    select pos
    from events
    where pos > ${pos}
    order by pos`
  return readPage(sql, limits, positions)
}

export async function readMemberships(sql: Sql, userId: string): Promise<Memberships> {
  const [memberships] = await sql<[Memberships]>`
    select
      ${stateColumns(sql)},
      coalesce((
        select jsonb_agg(jsonb_build_object('projectId', project_id, 'sincePos', since_pos, 'role', role))
        from project_members
        where user_id = ${userId}
      ), '[]') as projects
    from log_state`
  return memberships
}

/** Returns a page of the events that a user may receive, after `pos` and up to `memberships.committedHead`. */
export async function readVisibleAfter(
  sql: Sql,
  {
    userId,
    memberships,
    pos,
    limits
  }: { userId: string; memberships: Memberships; pos: number; limits: PageLimits }
): Promise<EventPage> {
  const { projects, committedHead } = memberships
  const range = { after: pos, upTo: committedHead }
  return readPage(
    sql,
    limits,
    visiblePositions(sql, { userId, projects, range, limit: limits.rows })
  )
}

// Implements `isVisible` of lib/event.ts. Because of the two indexes, the events of other projects cost no time.
function visiblePositions(
  sql: Sql,
  {
    userId,
    projects,
    range: { after, upTo },
    limit
  }: {
    userId: string
    projects: Memberships['projects']
    range: { after: number; upTo: number }
    limit: number
  }
) {
  const ids = projects.map(({ projectId }) => projectId)
  const since = projects.map(({ sincePos }) => sincePos)
  return sql`
    select in_project.pos
    from unnest(${ids}::uuid[], ${since}::bigint[]) as membership (project_id, since_pos)
    cross join lateral (
      select pos
      from events
      where project_id is not null
      and (project_id, pos) > (membership.project_id, greatest(since_pos, ${after}))
      and (project_id, pos) <= (membership.project_id, ${upTo})
      order by project_id, pos
      limit ${limit}
    ) as in_project
    union
    select pos
    from events
    where user_id = ${userId}
    and pos > ${after}
    and pos <= ${upTo}
    and (project_id = any (${ids}::uuid[]) or kind = 'member.removed')
    order by pos`
}

/** Changes the epoch, which makes every cursor invalid, unless another node has already changed it from `epoch`. */
export async function renewEpoch(sql: Sql, epoch: string): Promise<void> {
  await sql.begin(async tx => {
    await tx`lock table log_state in share row exclusive mode`
    await tx`update log_state set generation = generation + 1 where log_epoch() = ${epoch}`
  })
}

/** Sends a NOTIFY to every node. An empty payload means that there are new events. Any other payload is a heartbeat. */
export async function notify(sql: Sql, payload = ''): Promise<void> {
  await sql`select pg_notify('concord', ${payload})`
}

async function readPage(
  sql: Sql,
  limits: PageLimits,
  positions: PendingQuery<Row[]>
): Promise<EventPage> {
  // Without `limit 1`, the planner expects 2,000 rows of log_state and materializes the page.
  const rows = await sql<EventRow[]>`
    select ${stateColumns(sql)}, event.*
    from (select floor_pos from log_state limit 1) as log_state
    left join lateral (${selectPage(sql, limits, eventColumns(sql), positions)}) as event on true
    order by event.pos`
  const { epoch, committedHead, floor } = rows[0] as EventRow
  // When the page is empty, the query returns one row whose event fields are null.
  const events = rows.filter(({ pos }) => pos !== null)
  return { epoch, committedHead, floor, events, isLast: isLastPage(events, limits) }
}

// These are subqueries, because a subquery runs once and not once for each row.
const stateColumns = (sql: Sql) => sql`
  (select log_epoch()) as epoch,
  greatest((select max(pos) from events), floor_pos) as "committedHead",
  floor_pos as floor`
