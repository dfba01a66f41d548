import type { Sql } from './executor.ts'

export interface PeriodicJob {
  /** how long after a completed run the next one is due */
  everyMs: number
  /**
   * Does a bounded part of the work, in one transaction. Begins at `cursor`, or at the beginning when that is null.
   * Returns where the next step begins, or null when nothing is left.
   */
  step(sql: Sql, cursor: string | null): Promise<string | null>
}

/** Adds the jobs that the database does not know; they are due at once. */
export async function addJobs(sql: Sql, names: string[]): Promise<void> {
  await sql`
    insert into jobs (name)
    select unnest(${names}::text[])
    on conflict do nothing`
}

export async function findDueJobs(sql: Sql): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`
    select name
    from jobs
    where due_at <= now()`
  return rows.map(({ name }) => name)
}

/**
 * Runs the next step of a job. Does nothing if the job is not due, or if another node runs a step of it at the moment.
 * Returns whether a further step is due. After a step that throws, the next one is due after `everyMs`.
 */
export async function runStep(
  sql: Sql,
  name: string,
  { everyMs, step }: PeriodicJob
): Promise<boolean> {
  const setNext = (sql: Sql, afterMs: number, cursor: string | null) => sql`
    update jobs
    set due_at = now() + ${afterMs} * interval '1 millisecond', cursor = ${cursor}
    where name = ${name}`
  try {
    return await sql.begin(async tx => {
      const [job] = await tx<[{ cursor: string | null }?]>`
        select cursor
        from jobs
        where name = ${name}
        and due_at <= now()
        for update skip locked`
      if (!job) return false
      const cursor = await step(tx as unknown as Sql, job.cursor)
      await setNext(tx as unknown as Sql, cursor === null ? everyMs : 0, cursor)
      return cursor !== null
    })
  } catch (error) {
    await setNext(sql, everyMs, null)
    throw error
  }
}
