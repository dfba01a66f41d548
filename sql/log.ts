import type { Sql } from '../plugins/db.ts'

/** One row of the log. `before` and `after` stay the JSON text that PostgreSQL made: most are only passed on. */
export interface LogEvent {
  pos: number
  kind: string
  projectId: string | null
  checklistId: string | null
  rev: number | null
  itemId: string | null
  userId: string | null
  before: string | null
  after: string | null
  actorId: string | null
  opId: string | null
  source: string
  at: Date
  /** weight in memory, roughly */
  bytes: number
}

/** The memberships of a user and how far the log was when they were true. */
export interface Feed {
  head: number
  projects: { projectId: string; sincePos: number; role: string }[]
}

/** Where the log ends now, which life of the database it is, and from where on it is whole. */
export async function readHead(sql: Sql): Promise<{ epoch: string; head: number; floor: number }> {
  const [row] = await sql<[{ epoch: string; head: number; floor: number }]>`
    select
      log_epoch() as epoch,
      greatest(coalesce((select max(pos) from events), 0), floor_pos) as head,
      floor_pos as floor
    from log_state`
  return row
}

/** The next events after a position, at most `limit`. */
export function readAfter(sql: Sql, pos: number, limit: number): Promise<LogEvent[]> {
  return sql<LogEvent[]>`
    select ${columns(sql)}
    from events
    where events.pos > ${pos}
    order by events.pos
    limit ${limit}`
}

/** The projects of a user, from one snapshot with the head of the log. */
export async function readFeed(sql: Sql, userId: string): Promise<Feed> {
  const [feed] = await sql<[Feed]>`
    select
      coalesce((select max(pos) from events), 0) as head,
      coalesce((
        select jsonb_agg(jsonb_build_object('projectId', project_id, 'sincePos', since_pos, 'role', role))
        from project_members
        where user_id = ${userId}
      ), '[]') as projects`
  return feed
}

/**
 * What a user is entitled to see again, after `pos` and up to the head of the feed, at most `limit`:
 * the same rule as `isEntitled` in lib/entitlement.ts.
 */
export function readFeedAfter(
  sql: Sql,
  { userId, feed, pos, limit }: { userId: string; feed: Feed; pos: number; limit: number }
): Promise<LogEvent[]> {
  return sql<LogEvent[]>`
    select ${columns(sql)}
    from events
    left join unnest(
      ${feed.projects.map(({ projectId }) => projectId)}::uuid[],
      ${feed.projects.map(({ sincePos }) => sincePos)}::bigint[]
    ) as mine (project_id, since_pos) using (project_id)
    where events.pos > ${pos}
    and events.pos <= ${feed.head}
    and (
      events.pos > mine.since_pos
      or events.user_id = ${userId} and (mine.since_pos is not null or kind = 'member.removed')
    )
    order by events.pos
    limit ${limit}`
}

/** Tells every node that something happened, or, with a payload, that this node is alive. */
export async function ring(sql: Sql, payload = ''): Promise<void> {
  await sql`select pg_notify('concord', ${payload})`
}

const columns = (sql: Sql) => sql`
  events.pos, kind, events.project_id as "projectId", checklist_id as "checklistId", rev, item_id as "itemId",
  user_id as "userId", before::text, after::text, actor_id as "actorId", op_id as "opId", source, at,
  300 + coalesce(length(before::text), 0) + coalesce(length(after::text), 0) as bytes`
