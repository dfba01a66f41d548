import type { Sql } from '../plugins/db.ts'

/** Costs the database next to nothing. */
export async function ping(sql: Sql): Promise<void> {
  await sql`select 1`
}
