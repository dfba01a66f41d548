import type { Sql } from 'postgres'
import type { Me, User } from '../schemas/user.ts'

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

export interface Credentials {
  id: string
  /** Null in an account made with plain SQL, which cannot sign in. */
  passwordHash: string | null
}

export async function findCredentials(sql: Sql, email: string): Promise<Credentials | undefined> {
  const [credentials] = await sql<Credentials[]>`
    select id, password_hash as "passwordHash"
    from users
    where email = ${email}
  `
  return credentials
}

/** Does nothing when the password has been changed meanwhile. */
export async function replacePasswordHash(
  sql: Sql,
  id: string,
  { from, to }: { from: string; to: string }
): Promise<void> {
  await sql`
    update users
    set password_hash = ${to}
    where id = ${id}
    and password_hash = ${from}
  `
}
