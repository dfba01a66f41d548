import type { Me, User } from '../schemas/user.ts'
import { withActor } from './actor.ts'
import type { Sql } from './executor.ts'

export interface NewUser {
  /** in canonical form */
  email: string
  name: string
  passwordHash: string
}

/** Creates an account and returns it. Returns undefined when the email is taken. */
export async function createUser(
  sql: Sql,
  { email, name, passwordHash }: NewUser
): Promise<User | undefined> {
  // The unique constraint detects a taken email. A query before the insert would miss a concurrent sign-up.
  const [user] = await sql<User[]>`
    insert into users (email, name, password_hash)
    values (${email}, ${name}, ${passwordHash})
    on conflict (email) do nothing
    returning id, email, name
  `
  return user
}

export async function findUser(sql: Sql, id: string): Promise<Me | undefined> {
  const [user] = await sql<Me[]>`
    select id, name
    from users
    where id = ${id}
  `
  return user
}

export async function renameUser(sql: Sql, id: string, name: string): Promise<Me | undefined> {
  const [user] = await sql<Me[]>`
    update users
    set name = ${name}
    where id = ${id}
    returning id, name
  `
  return user
}

/** A function with an Account does nothing when the password has been changed since the version was read. */
export interface Account {
  id: string
  passwordVersion: number
}

export interface Credentials extends Account {
  /** null for an account that was created with plain SQL; its user cannot sign in */
  passwordHash: string | null
}

/** Returns the credentials of the user with this id or with this email, which must be in canonical form. */
export async function findCredentials(
  sql: Sql,
  by: { id: string } | { email: string }
): Promise<Credentials | undefined> {
  const [credentials] = await sql<Credentials[]>`
    select id, password_hash as "passwordHash", password_version as "passwordVersion"
    from users
    where ${'id' in by ? sql`id = ${by.id}` : sql`email = ${by.email}`}
  `
  return credentials
}

/** Stores a new hash of the same password. */
export async function replacePasswordHash(
  sql: Sql,
  { id, passwordVersion }: Account,
  passwordHash: string
): Promise<void> {
  await sql`
    update users
    set password_hash = ${passwordHash}
    where id = ${id}
    and password_version = ${passwordVersion}
  `
}

/** Ends all sessions except `keep`. Returns their ids, or undefined when the password has already been changed. */
export async function changePassword(
  sql: Sql,
  { id, passwordVersion }: Account,
  { passwordHash, keep }: { passwordHash: string; keep: string }
): Promise<string[] | undefined> {
  return await sql.begin(async sql => {
    const { count } = await sql`
      update users
      set password_hash = ${passwordHash}, password_version = password_version + 1
      where id = ${id}
      and password_version = ${passwordVersion}
    `
    if (count === 0) return
    // This is a second statement, because the first one may wait for concurrent sign-ins. Only the database snapshot of
    // a later statement contains their sessions.
    const ended = await sql<{ id: string }[]>`
      update sessions
      set revoked_at = now(), revoked_reason = 'password_changed'
      where user_id = ${id}
      and sessions.id <> ${keep}
      and revoked_at is null
      returning sessions.id
    `
    return ended.map(session => session.id)
  })
}

/** Also deletes the projects with no other owner. Returns false when the password has already been changed. */
export async function deleteUser(sql: Sql, { id, passwordVersion }: Account): Promise<boolean> {
  const { count } = await sql`
    with ${withActor(sql, id)}
    delete from users
    using actor_settings
    where id = ${id}
    and password_version = ${passwordVersion}
  `
  return count > 0
}
