import type { Sql } from 'postgres'
import type { ClientInfo } from '../lib/client-address.ts'
import { SessionNotFound } from '../lib/errors.ts'
import type { RefreshToken } from '../lib/refresh-token.ts'
import type { Session } from '../schemas/session.ts'
import type { Account } from './users.ts'

/** A live session, with the values that its tokens contain. */
export interface LiveSession {
  id: string
  userId: string
  counter: number
  expiresAt: Date
}

/** in seconds */
export interface Lifetimes {
  refreshTokenTtl: number
  sessionMaxAge: number
  refreshGrace: number
}

const MAX_SESSIONS = 50

/**
 * Creates a session. Ends the session `replaced` and, when the user has too many sessions, those that were idle for
 * longest. `ended` contains their ids. Returns undefined when the password has changed since `passwordVersion` was
 * read.
 */
export async function createSession(
  sql: Sql,
  { id, passwordVersion }: Account,
  { client, replaced = null }: { client: ClientInfo; replaced?: string | null },
  { refreshTokenTtl, sessionMaxAge }: Lifetimes
): Promise<(LiveSession & { ended: string[] }) | undefined> {
  const isLive = sql`revoked_at is null and expires_at > now()`
  const [, [session]] = await sql.begin(sql => [
    // The lock makes sign-ins of one user wait for each other, and for a change of the password.
    sql`select from users where id = ${id} for no key update`,
    sql<[(LiveSession & { ended: string[] })?]>`
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
        offset ${MAX_SESSIONS - 1}
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

/** Returns the live sessions of a user; the session that was used last is the first. */
export function listSessions(sql: Sql, userId: string, currentId: string): Promise<Session[]> {
  return sql<Session[]>`
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
 * Returns the session of a refresh token with its new counter. Returns undefined when the token is not valid. When the
 * token was rotated longer ago than the grace period, an attacker may have copied it: `isReused` is true, and the session
 * has ended. This is one statement, so that a concurrent refresh or sign-out on any node runs entirely before or after
 * it. Further requests in the grace period return the same counter.
 */
export async function rotateSession(
  sql: Sql,
  { sessionId, counter }: RefreshToken,
  { ip, userAgent }: ClientInfo,
  { refreshTokenTtl, refreshGrace }: Lifetimes
): Promise<(LiveSession & { isReused: boolean }) | undefined> {
  // Each value is one parameter, because parameters take a good part of the time of this statement.
  const [session] = await sql<[(LiveSession & { isReused: boolean })?]>`
    update sessions
    set
      counter = case
        when counter = sent and (rotated_at is null or rotated_at <= grace_began) then counter + 1
        else counter
      end,
      rotated_at = case
        when counter = sent and (rotated_at is null or rotated_at <= grace_began) then now()
        else rotated_at
      end,
      revoked_at = case
        when counter > sent + 1 or counter > sent and rotated_at <= grace_began then now()
      end,
      revoked_reason = case
        when counter > sent + 1 or counter > sent and rotated_at <= grace_began then 'reused'
      end,
      expires_at = least(now() + make_interval(secs => ${refreshTokenTtl}), absolute_expires_at),
      last_used_at = now(),
      ip = ${ip},
      user_agent = ${userAgent}
    from (
      select ${counter}::integer as sent, now() - make_interval(secs => ${refreshGrace}) as grace_began
    ) as token
    where id = ${sessionId}
    and counter >= sent
    and revoked_at is null
    and expires_at > now()
    returning
      id, user_id as "userId", counter, expires_at as "expiresAt",
      revoked_at is not null as "isReused"
  `
  return session
}

/** Ends a session. Returns the id of its user. Returns undefined when the session had already ended. */
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

/** Ends a session. Throws SessionNotFound when the user has no live session with this id. */
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

/** Ends all sessions of a user except `keep`. Returns the ids of the ended sessions. */
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

/** Deletes expired sessions, and returns how many. A trigger logs `session.ended`, which closes their streams. */
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

/** Returns the user of a refresh token. Returns undefined when the token is not valid for a refresh. */
export async function findTokenOwner(
  sql: Sql,
  { sessionId, counter }: RefreshToken,
  { refreshGrace }: Lifetimes
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

/** Returns the sessions that ended in the last `seconds`, whose access tokens may not have expired yet. */
export async function findEndedSessions(sql: Sql, seconds: number): Promise<string[]> {
  // `sessions` has no rows of deleted users. The access tokens of expired sessions expired first.
  const rows = await sql<{ id: string }[]>`
    select after ->> 'sessionId' as id
    from events
    where kind = 'session.ended'
    and after ->> 'reason' <> 'expired'
    and at > now() - make_interval(secs => ${seconds})
  `
  return rows.map(({ id }) => id)
}
