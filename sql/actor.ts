import type { Sql } from './executor.ts'

/**
 * Returns a CTE for a statement that writes: `with ${withActor(sql, actorId)}, …`. It sets the actor, the source and
 * the operation of the transaction, which the triggers of the log read. PostgreSQL does not evaluate a CTE that nothing
 * reads, so the write must select `from actor_settings`, directly or through another CTE.
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
