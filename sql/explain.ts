import type { Visibility } from '../lib/event.ts'
import type { Sql } from './executor.ts'
import { readLogState } from './log.ts'

/** An event without its texts. */
export interface ExplainedEvent extends Visibility {
  checklistId: string | null
  rev: number | null
  source: string
  at: Date
  actorId: string | null
  actorEmail: string | null
  projectName: string | null
}

/** One `member.*` event of a user in a project. */
export interface MemberEvent {
  pos: number
  kind: string
  role: string
  at: Date
}

/** A session, with `endedAt` null while it is active. Only the end of a session that is not stored any more is known. */
export interface KnownSession {
  id: string
  createdAt: Date | null
  lastUsedAt: Date | null
  expiresAt: Date | null
  userAgent: string
  endedAt: Date | null
  reason: string | null
}

/** Returns the user with this id or canonical email. */
export async function findUserByName(
  sql: Sql,
  name: string
): Promise<{ id: string; email: string; name: string } | undefined> {
  const [user] = await sql<[{ id: string; email: string; name: string }?]>`
    select id, email, name
    from users
    where id::text = ${name}
    or email = ${name}`
  return user
}

/** Returns what the database contains about a user and the event at a position. */
export async function readFacts(sql: Sql, userId: string, pos: number) {
  return sql.begin('isolation level repeatable read read only', async transaction => {
    const tx = transaction as unknown as Sql
    const event = await findEvent(tx, pos)
    const projectId = event?.projectId ?? null
    const [membership] = await tx<[{ role: string; sincePos: number }?]>`
      select role, since_pos as "sincePos"
      from project_members
      where project_id = ${projectId}
      and user_id = ${userId}`
    const [deletion] = await tx<[{ pos: number; at: Date }?]>`
      select pos, at
      from events
      where project_id = ${projectId}
      and kind = 'project.deleted'`
    return {
      ...(await readLogState(tx)),
      event,
      membership,
      deletion,
      memberEvents: await readMemberEvents(tx, userId, projectId),
      sessions: await readSessions(tx, userId)
    }
  })
}

async function findEvent(sql: Sql, pos: number): Promise<ExplainedEvent | undefined> {
  const [event] = await sql<[ExplainedEvent?]>`
    select
      pos, kind, project_id as "projectId", user_id as "userId", checklist_id as "checklistId", rev, source, at,
      actor_id as "actorId", actor.email as "actorEmail", projects.name as "projectName"
    from events
    left join users as actor on actor.id = actor_id
    left join projects on projects.id = project_id
    where pos = ${pos}`
  return event
}

function readMemberEvents(sql: Sql, userId: string, projectId: string | null) {
  return sql<MemberEvent[]>`
    select pos, kind, coalesce(after, before) ->> 'role' as role, at
    from events
    where user_id = ${userId}
    and project_id = ${projectId}
    and kind like 'member.%'
    order by pos`
}

/** Returns the sessions that are stored, and the ends of other sessions that are in the log, the newest first. */
function readSessions(sql: Sql, userId: string) {
  return sql<KnownSession[]>`
    select
      id::text, created_at as "createdAt", last_used_at as "lastUsedAt", expires_at as "expiresAt",
      user_agent as "userAgent",
      coalesce(revoked_at, case when expires_at <= now() then expires_at end) as "endedAt",
      coalesce(revoked_reason, case when expires_at <= now() then 'expired' end) as reason
    from sessions
    where user_id = ${userId}
    union all
    select after ->> 'sessionId', null, null, null, '', at, after ->> 'reason'
    from events
    where user_id = ${userId}
    and kind = 'session.ended'
    and not exists (select from sessions where id::text = after ->> 'sessionId')
    order by "createdAt" desc nulls last, "endedAt" desc`
}
