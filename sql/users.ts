import type { Me, User } from '../schemas/user.ts'
import { withActor } from './actor.ts'
import type { Sql } from './executor.ts'

export interface NewUser {
  /** In canonical form. */
  email: string
  name: string
  passwordHash: string
}

/** The new account, or undefined when the email is taken. */
export async function createUser(
  sql: Sql,
  { email, name, passwordHash }: NewUser
): Promise<User | undefined> {
  // Asking first and inserting then fails under concurrent sign-ups: the constraint decides.
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

/** A user at one password: what is done with it fails once the password is another. */
export interface Account {
  id: string
  passwordVersion: number
}

export interface Credentials extends Account {
  /** Null in an account made with plain SQL, which cannot sign in. */
  passwordHash: string | null
}

/** Of a user by id, or by email in canonical form. */
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

/** The same password, hashed anew. */
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

/**
 * Changes the password and ends every session but one. Answers the sessions that ended, undefined
 * when the password has been changed meanwhile.
 */
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
    // Not in one statement with the above: it had to wait for sign-ins whose sessions this one sees.
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

/** With all that is only theirs. False when the password has been changed meanwhile. */
export async function deleteUser(sql: Sql, { id, passwordVersion }: Account): Promise<boolean> {
  const { count } = await sql`
    with ${withActor(sql, id)}
    delete from users
    using acting
    where id = ${id}
    and password_version = ${passwordVersion}
  `
  return count > 0
}
