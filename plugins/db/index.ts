import fp from 'fastify-plugin'
import postgres from 'postgres'
import type { Sql } from '../../sql/executor.ts'
import { migrate } from '../../sql/migrate.ts'
import { createPool } from './pool.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The pool that every request uses. */
    sql: Sql
  }
}

const limits = {
  // More connections only queue at the commit lock: 4–8 are as fast as 32.
  connections: 8,
  connectSeconds: 5,
  statementMs: 15_000,
  // What is still asked when the service closes.
  closeMs: 4000,
  idleInTransactionMs: 15_000
}

/** The options every connection of the service shares; the LISTEN connection has its own pool of one. */
export const connection = {
  connect_timeout: limits.connectSeconds,
  // The default backoff was measured to come back 10 s after an outage; this one 0.35 s.
  backoff: (attempt: number) => Math.min(0.05 * 2 ** attempt, 1),
  onnotice: () => {},
  // Positions and revisions stay far below 2 ** 53.
  types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
  connection: {
    application_name: 'concord',
    statement_timeout: limits.statementMs,
    idle_in_transaction_session_timeout: limits.idleInTransactionMs
  }
}

export default fp(
  async app => {
    const { url } = app.database
    const open = (): Sql => postgres(url, { ...connection, max: limits.connections })
    const sql = createPool(open, app.log)
    // Before requests are cut off, so that who waits for a database that hangs is answered 503.
    app.addHook('preClose', async () => {
      setTimeout(() => sql.end({ timeout: 0 }), limits.closeMs).unref()
    })
    app.addHook('onClose', () => sql.end({ timeout: 1 }))
    const applied = await migrate(sql)
    if (applied.length > 0) app.log.info({ applied }, 'database migrated')
    app.decorate('sql', sql)
  },
  { name: 'db', dependencies: ['embedded'] }
)
