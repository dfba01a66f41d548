import { currentTrace } from '../lib/trace-context.ts'
import type { Sql } from './executor.ts'

/**
 * Returns a CTE that sets the actor, the source, the operation and the trace of the transaction, which the triggers of the log
 * read. PostgreSQL evaluates it only when the write selects `from actor_settings`, directly or through another CTE.
 */
export function withActor(sql: Sql, actorId: string, { source = 'http', opId = '' } = {}) {
  const trace = currentTrace()
  return sql`
    actor_settings as materialized (
      select
        set_config('app.actor', ${actorId}, true),
        set_config('app.source', ${source}, true),
        set_config('app.op', ${opId}, true)
        ${trace ? sql`, set_config('app.trace', ${trace}, true)` : sql``}
    )`
}
