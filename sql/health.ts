import type { Sql } from './executor.ts'

/** Costs the database next to nothing. */
export async function ping(sql: Sql): Promise<void> {
  await sql`select 1`
}
