import type { Sql } from 'postgres'
import type { Client } from '../lib/client.ts'
import type { RefreshToken } from '../lib/refresh-token.ts'

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

/** Why a session ended; clients read it in `session.ended`. */
export type EndReason = 'signed_out' | 'reused'

export async function createSession(
  sql: Sql,
  userId: string,
  { ip, userAgent }: Client,
  { refreshTokenTtl, sessionMaxAge }: Lives
): Promise<Session> {
  const [session] = await sql<[Session]>`
    insert into sessions (id, user_id, ip, user_agent, expires_at, absolute_expires_at)
    values (
      gen_random_uuid(), ${userId}, ${ip}, ${userAgent},
      now() + make_interval(secs => ${Math.min(refreshTokenTtl, sessionMaxAge)}),
      now() + make_interval(secs => ${sessionMaxAge})
    )
    returning id, user_id as "userId", counter, expires_at as "expiresAt"
  `
  return session
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
  { ip, userAgent }: Client,
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

export async function endSession(sql: Sql, id: string, reason: EndReason): Promise<void> {
  await sql`
    update sessions
    set revoked_at = now(), revoked_reason = ${reason}
    where id = ${id}
    and revoked_at is null
  `
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

/** Sessions that ended so lately that an access token of theirs may still be in time. */
export async function recentlyEnded(sql: Sql, accessTokenTtl: number): Promise<string[]> {
  // From the log and not from the table: a session goes from there with its user.
  const rows = await sql<{ id: string }[]>`
    select after ->> 'sessionId' as id
    from events
    where kind = 'session.ended'
    and at > now() - make_interval(secs => ${accessTokenTtl})
  `
  return rows.map(({ id }) => id)
}
