import type { Sql } from './executor.ts'

/**
 * `with ${withActor(sql, actorId)}, …` tells the log who writes. Its triggers read it as the statement
 * ends, but a `with` that nothing reads is never evaluated: the write selects `from acting`, or
 * from something that does.
 */
export function withActor(sql: Sql, actorId: string, { source = 'http', opId = '' } = {}) {
  return sql`
    acting as materialized (
      select
        set_config('app.actor', ${actorId}, true),
        set_config('app.source', ${source}, true),
        set_config('app.op', ${opId}, true)
    )`
}
