import type { Sql } from './executor.ts'

/**
 * Returns the CTE that names the author of a write to the log: `with ${withActor(sql, actorId)}, …`. The triggers of
 * the log read these settings. PostgreSQL does not evaluate a CTE that nothing reads, so the write has to select
 * `from actor_settings`, directly or through another CTE.
 */
export function withActor(sql: Sql, actorId: string, { source = 'http', opId = '' } = {}) {
  return sql`
    actor_settings as materialized (
      select
        set_config('app.actor', ${actorId}, true),
        set_config('app.source', ${source}, true),
        set_config('app.op', ${opId}, true)
    )`
}
