import type { Sql } from 'postgres'

/** `allowed` attempts in `seconds` */
export interface Throttle {
  key: string
  allowed: number
  seconds: number
}

/** Returns the seconds until every throttle allows an attempt, or undefined when all allow one now. */
export async function findSecondsToWait(
  sql: Sql,
  throttles: Throttle[]
): Promise<number | undefined> {
  const [row] = await sql<[{ seconds: number | null }]>`
    select ceil(extract(epoch from max(resets_at) - now()))::integer as seconds
    from throttles
    where key in ${sql(throttles.map(({ key }) => key))}
    and count >= allowed
    and resets_at > now()
  `
  return row.seconds ?? undefined
}

/** Counts an attempt in each throttle. Returns the seconds to wait when it exceeds one, or undefined. */
export async function countAttempt(sql: Sql, throttles: Throttle[]): Promise<number | undefined> {
  const isOver = sql`throttles.resets_at <= now()`
  // The rows are written in order of key, so that two statements with the same keys do not deadlock.
  const [row] = await sql<[{ seconds: number | null }]>`
    with counted as (
      insert into throttles (key, allowed, count, resets_at)
      select key, allowed, 1, now() + make_interval(secs => seconds)
      from unnest(
        ${throttles.map(({ key }) => key)}::text[],
        ${throttles.map(({ allowed }) => allowed)}::integer[],
        ${throttles.map(({ seconds }) => seconds)}::integer[]
      ) as throttle (key, allowed, seconds)
      order by key
      on conflict (key) do update
      set
        allowed = excluded.allowed,
        count = case when ${isOver} then 1 else throttles.count + 1 end,
        resets_at = case when ${isOver} then excluded.resets_at else throttles.resets_at end
      returning count > allowed as is_too_many, resets_at
    )
    select ceil(extract(epoch from max(resets_at) - now()))::integer as seconds
    from counted
    where is_too_many
  `
  return row.seconds ?? undefined
}

/** Deletes at most `limit` throttles whose period is over. Returns how many it deleted. */
export async function deleteExpiredThrottles(sql: Sql, limit: number): Promise<number> {
  const { count } = await sql`
    delete from throttles
    where key in (
      select key
      from throttles
      where resets_at <= now()
      limit ${limit}
      for update skip locked
    )
  `
  return count
}
