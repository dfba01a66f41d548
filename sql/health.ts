import type { Sql } from './executor.ts'

/** Throws when the database does not execute a simple query. */
export async function ping(sql: Sql): Promise<void> {
  await sql`select 1`
}
