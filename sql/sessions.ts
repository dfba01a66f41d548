import type { Sql } from 'postgres'
import type { ClientInfo } from '../lib/client-address.ts'
import { SessionNotFound } from '../lib/errors.ts'
import type { RefreshToken } from '../lib/refresh-token.ts'
import type { SessionInfo } from '../schemas/session.ts'
import type { Account } from './users.ts'

/** What a token of a session is made of. */
export interface Session {
  id: string
  userId: string
  counter: number
  expiresAt: Date
}

/** Lives, in seconds. */
export interface Lives {
  refreshTokenTtl: number
  sessionMaxAge: number
  refreshGrace: number
}

/** The most sessions a user has at a time. */
const MOST = 50

/**
 * Begins a session, and ends the one that it replaces and the longest idle of too many. Answers the
 * session and what ended, undefined when the password has been changed since the account was read.
 */
export async function createSession(
  sql: Sql,
  { id, passwordVersion }: Account,
  { client, replaced = null }: { client: ClientInfo; replaced?: string | null },
  { refreshTokenTtl, sessionMaxAge }: Lives
): Promise<(Session & { ended: string[] }) | undefined> {
  const isLive = sql`revoked_at is null and expires_at > now()`
  const [, [session]] = await sql.begin(sql => [
    // One sign-in of a user at a time, and none while their password is being changed.
    sql`select from users where id = ${id} for no key update`,
    sql<[(Session & { ended: string[] })?]>`
      with account as (
        select id
        from users
        where id = ${id}
        and password_version = ${passwordVersion}
      ),
      created as (
        insert into sessions (id, user_id, ip, user_agent, expires_at, absolute_expires_at)
        select
          gen_random_uuid(), account.id, ${client.ip}, ${client.userAgent},
          now() + make_interval(secs => ${Math.min(refreshTokenTtl, sessionMaxAge)}),
          now() + make_interval(secs => ${sessionMaxAge})
        from account
        returning id, user_id as "userId", counter, expires_at as "expiresAt"
      ),
      too_many as (
        select sessions.id
        from sessions
        join account on account.id = user_id
        where ${isLive}
        and sessions.id is distinct from ${replaced}
        order by last_used_at desc
        offset ${MOST - 1}
      ),
      ended as (
        update sessions
        set
          revoked_at = now(),
          revoked_reason = case when sessions.id = ${replaced} then 'replaced' else 'evicted' end
        from account
        where (sessions.id = ${replaced} or sessions.id in (select id from too_many))
        and revoked_at is null
        returning sessions.id
      )
      select created.*, array(select id from ended) as ended
      from created
    `
  ])
  return session
}

/** The live sessions of a user, the last used first. */
export function listSessions(sql: Sql, userId: string, currentId: string): Promise<SessionInfo[]> {
  return sql<SessionInfo[]>`
    select
      id, created_at as "createdAt", last_used_at as "lastUsedAt", ip, user_agent as "userAgent",
      id = ${currentId} as current
    from sessions
    where user_id = ${userId}
    and revoked_at is null
    and expires_at > now()
    order by last_used_at desc, id
  `
}

/**
 * Uses a refresh token: the session as it is now, undefined when the token is good for nothing, and
 * `isReused` when somebody came back with a token long rotated, which has ended the session.
 *
 * One statement, so that tabs racing each other, a sign-out, or another node find the row either
 * before or after, never in between. At most one rotation per grace: whoever else comes in it gets
 * the token that the first one got.
 */
export async function rotateSession(
  sql: Sql,
  { sessionId, counter }: RefreshToken,
  { ip, userAgent }: ClientInfo,
  { refreshTokenTtl, refreshGrace }: Lives
): Promise<(Session & { isReused: boolean }) | undefined> {
  const grace = sql`make_interval(secs => ${refreshGrace})`
  const isDue = sql`counter = ${counter} and (rotated_at is null or rotated_at <= now() - ${grace})`
  const isReused = sql`counter > ${counter} + 1 or counter > ${counter} and rotated_at <= now() - ${grace}`
  const [session] = await sql<[(Session & { isReused: boolean })?]>`
    update sessions
    set
      counter = case when ${isDue} then counter + 1 else counter end,
      rotated_at = case when ${isDue} then now() else rotated_at end,
      revoked_at = case when ${isReused} then now() end,
      revoked_reason = case when ${isReused} then 'reused' end,
      expires_at = least(now() + make_interval(secs => ${refreshTokenTtl}), absolute_expires_at),
      last_used_at = now(),
      ip = ${ip},
      user_agent = ${userAgent}
    where id = ${sessionId}
    and counter >= ${counter}
    and revoked_at is null
    and expires_at > now()
    returning
      id, user_id as "userId", counter, expires_at as "expiresAt",
      revoked_at is not null as "isReused"
  `
  return session
}

/** Whose session has ended by this; undefined when it had before. */
export async function signOut(sql: Sql, id: string): Promise<string | undefined> {
  const [ended] = await sql<{ userId: string }[]>`
    update sessions
    set revoked_at = now(), revoked_reason = 'signed_out'
    where id = ${id}
    and revoked_at is null
    returning user_id as "userId"
  `
  return ended?.userId
}

/** Ends one session of a user. Throws SessionNotFound when they have no such session. */
export async function endSession(sql: Sql, userId: string, id: string): Promise<void> {
  const { count } = await sql`
    update sessions
    set revoked_at = now(), revoked_reason = 'revoked'
    where id = ${id}
    and user_id = ${userId}
    and revoked_at is null
    and expires_at > now()
  `
  if (count === 0) throw new SessionNotFound()
}

/** Ends all sessions of a user but one, and answers which. */
export async function endOtherSessions(sql: Sql, userId: string, keep: string): Promise<string[]> {
  const ended = await sql<{ id: string }[]>`
    update sessions
    set revoked_at = now(), revoked_reason = 'revoked'
    where user_id = ${userId}
    and id <> ${keep}
    and revoked_at is null
    returning id
  `
  return ended.map(({ id }) => id)
}

/** At most `limit` of those that are over. The log tells their streams, unless they had ended before. */
export async function deleteExpiredSessions(sql: Sql, limit: number): Promise<number> {
  const { count } = await sql`
    delete from sessions
    where id in (
      select id
      from sessions
      where expires_at <= now()
      limit ${limit}
      for update skip locked
    )
  `
  return count
}

export interface Owner {
  userId: string
  name: string
}

/** Whose the session is, while it lives. */
export async function findSessionOwner(sql: Sql, id: string): Promise<Owner | undefined> {
  const [owner] = await sql<[Owner?]>`
    select user_id as "userId", name
    from sessions
    join users on users.id = user_id
    where sessions.id = ${id}
    and revoked_at is null
    and expires_at > now()
  `
  return owner
}

/** Whose the session of a refresh token is, while the token would be good for a refresh. */
export async function findTokenOwner(
  sql: Sql,
  { sessionId, counter }: RefreshToken,
  { refreshGrace }: Lives
): Promise<Owner | undefined> {
  const [owner] = await sql<[Owner?]>`
    select user_id as "userId", name
    from sessions
    join users on users.id = user_id
    where sessions.id = ${sessionId}
    and revoked_at is null
    and expires_at > now()
    and (
      counter = ${counter}
      or counter = ${counter} + 1 and rotated_at > now() - make_interval(secs => ${refreshGrace})
    )
  `
  return owner
}

/** Returns the sessions that ended within `seconds`, for which an access token may be accepted. */
export async function recentlyEnded(sql: Sql, seconds: number): Promise<string[]> {
  // From the log, because deleting a user deletes their rows in `sessions`. Of a session that expired, every access
  // token expired before it.
  const rows = await sql<{ id: string }[]>`
    select after ->> 'sessionId' as id
    from events
    where kind = 'session.ended'
    and after ->> 'reason' <> 'expired'
    and at > now() - make_interval(secs => ${seconds})
  `
  return rows.map(({ id }) => id)
}
