import type { PendingQuery, Row } from 'postgres'
import type { Cursor } from '../lib/cursor.ts'
import type { LogEvent } from '../lib/event.ts'
import { eventColumns, isLastPage, type PageLimits, type Sized, selectPage } from './event-page.ts'
import type { Sql } from './executor.ts'

/** The state of the log. Events up to the position `floor` may have been deleted. */
export interface LogState {
  epoch: string
  committedHead: number
  floor: number
}

/** Events in order of position. */
export interface EventPage {
  events: LogEvent[]
  /** whether the query found no later event */
  isLast: boolean
}

/** The epoch, and a text that changes whenever the epoch may have changed but costs much less to query. */
export interface KeyedEpoch {
  epoch: string
  epochKey: string
}

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

export async function readEpoch(sql: Sql): Promise<KeyedEpoch> {
  const [row] = await sql<[KeyedEpoch]>`
    select log_epoch() as epoch, ${epochKey(sql)} as "epochKey"
    from log_state`
  return row
}

/** Returns a text that is the same for all nodes on one database, also after a restore or a fail-over. */
export async function readDatabaseId(sql: Sql): Promise<string> {
  const [{ id }] = await sql<[{ id: string }]>`
    select substr(md5(concat_ws('/', system_identifier, oid)), 1, 12) as id
    from pg_control_system(), pg_database
    where datname = current_database()`
  return id
}

/** Takes the lock of the node that sends the log to the others, until the connection ends. Returns whether it was free. */
export async function tryPublisherLock(sql: Sql): Promise<boolean> {
  const [{ isLocked }] = await sql<[{ isLocked: boolean }]>`
    select pg_try_advisory_lock(hashtextextended('concord.publisher', 0)) as "isLocked"`
  return isLocked
}

/** Returns a page of all events after `pos`, with the key of the epoch and the head from the same database snapshot. */
export async function readAfter(
  sql: Sql,
  pos: number,
  limits: PageLimits
): Promise<EventPage & { epochKey: string; committedHead: number }> {
  const positions = sql`
    select pos
    from events
    where pos > ${pos}
    order by pos`
  const columns = sql`"epochKey", ${head(sql)} as "committedHead"`
  const { first, page } = await readPage<{ epochKey: string; committedHead: number }>(sql, limits, {
    positions,
    columns
  })
  return { epochKey: first.epochKey, committedHead: first.committedHead, ...page }
}

/** Returns the memberships of each user, in the order of `userIds`. */
export async function readMemberships(sql: Sql, userIds: string[]): Promise<Memberships[]> {
  const [{ projectsOf, ...state }] = await sql<
    [LogState & { projectsOf: Record<string, Memberships['projects']> }]
  >`
    select
      ${stateColumns(sql)},
      coalesce((
        select jsonb_object_agg(user_id, projects)
        from (
          select
            user_id,
            jsonb_agg(jsonb_build_object('projectId', project_id, 'sincePos', since_pos, 'role', role)) as projects
          from project_members
          where user_id = any (${userIds}::uuid[])
          group by user_id
        ) as memberships
      ), '{}') as "projectsOf"
    from log_state`
  return userIds.map(userId => ({ ...state, projects: projectsOf[userId] ?? [] }))
}

/**
 * Returns the last page of the events after a position and up to another one, with the state of the log from the same
 * database snapshot. When the page `isLast`, it has all of them.
 */
export async function readBefore(
  sql: Sql,
  { after, upTo }: { after: number; upTo: number },
  limits: PageLimits
): Promise<EventPage & LogState> {
  const positions = sql`
    select pos
    from events
    where pos > ${after}
    and pos <= ${upTo}
    order by pos desc`
  const { first, page } = await readPage<LogState>(sql, limits, {
    positions,
    columns: stateColumns(sql)
  })
  return { epoch: first.epoch, committedHead: first.committedHead, floor: first.floor, ...page }
}

/**
 * Returns a page of the events that a user may receive, after `pos` and up to `memberships.committedHead`, with the
 * state of the log from the same database snapshot.
 */
export async function readVisibleAfter(
  sql: Sql,
  {
    userId,
    memberships,
    pos,
    limits
  }: { userId: string; memberships: Memberships; pos: number; limits: PageLimits }
): Promise<EventPage & LogState> {
  const { projects, committedHead } = memberships
  const range = { after: pos, upTo: committedHead }
  const positions = visiblePositions(sql, { userId, projects, range, limit: limits.rows })
  const columns = stateColumns(sql)
  const { first, page } = await readPage<LogState>(sql, limits, { positions, columns })
  return { epoch: first.epoch, committedHead: first.committedHead, floor: first.floor, ...page }
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

/**
 * Changes the epoch, which makes every cursor invalid, if the log ends before `pos`. Does nothing if the epoch is no
 * longer `epoch`, because another node has changed it.
 */
export async function renewEpoch(sql: Sql, { epoch, pos }: Cursor): Promise<void> {
  await sql.begin(async tx => {
    await tx`lock table log_state in share row exclusive mode`
    await tx`
      update log_state
      set generation = generation + 1
      where log_epoch() = ${epoch}
      and ${head(sql)} < ${pos}`
  })
}

/** Sends a NOTIFY to every node. An empty payload means that there are new events. Any other payload is a heartbeat. */
export async function notify(sql: Sql, payload = ''): Promise<void> {
  await sql`select pg_notify('concord', ${payload})`
}

/** Returns a page, and the first row of the query, which also contains the `columns` of log_state. */
async function readPage<State>(
  sql: Sql,
  limits: PageLimits,
  { positions, columns }: { positions: PendingQuery<Row[]>; columns: PendingQuery<Row[]> }
): Promise<{ first: State; page: EventPage }> {
  // Without `limit 1`, the planner expects 2,000 rows of log_state and materializes the page. With it, the key is
  // computed once and not for each event.
  const rows = await sql<(State & LogEvent & Sized)[]>`
    select ${columns}, event.*
    from (select floor_pos, ${epochKey(sql)} as "epochKey" from log_state limit 1) as log_state
    left join lateral (${selectPage(sql, limits, eventColumns(sql), positions)}) as event on true
    order by event.pos`
  // When the page is empty, the query returns one row whose event fields are null.
  const events = rows.filter(({ pos }) => pos !== null)
  return { first: rows[0] as State, page: { events, isLast: isLastPage(events, limits) } }
}

// These are subqueries, because a subquery runs once and not once for each row.
const stateColumns = (sql: Sql) => sql`
  (select log_epoch()) as epoch,
  ${head(sql)} as "committedHead",
  floor_pos as floor`

const head = (sql: Sql) => sql`greatest((select max(pos) from events), floor_pos)`

// Whatever changes the epoch without a change of `generation` needs a restart of the server or another database. A
// driver or a pooler can move a connection there without an error, so that it does not suffice to query the epoch once
// for each connection.
const epochKey = (sql: Sql) => sql`
  concat_ws('/',
    pg_postmaster_start_time(),
    (select oid from pg_database where datname = current_database()),
    generation
  )`
