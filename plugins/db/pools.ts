import fp from 'fastify-plugin'
import postgres from 'postgres'
import { createPool } from '../../lib/postgres/pool.ts'
import type { Sql } from '../../sql/executor.ts'
import { migrate } from '../../sql/migrate.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The pool of reads, and of writes that the log does not carry. A lock is waited for 5 s at most. */
    sql: Sql
    /**
     * The pool of writes that the log carries. A lock is waited for 200 ms at most, the commit lock too, so that a
     * transaction in psql does not use up the connections: whoever writes tries again.
     */
    writeSql: Sql
  }
}

const limits = {
  // More writers only queue at the commit lock: 4–8 are as fast as 32.
  readers: 8,
  writers: 7,
  connectSeconds: 5,
  statementMs: 15_000,
  // PostgreSQL ends statement_timeout before COMMIT waits for the commit lock: this one still counts there.
  lockMs: 5000,
  writeLockMs: 200,
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
    lock_timeout: limits.lockMs,
    idle_in_transaction_session_timeout: limits.idleInTransactionMs
  }
}

const writing = {
  ...connection,
  max: limits.writers,
  connection: { ...connection.connection, lock_timeout: limits.writeLockMs }
}

export default fp(
  async app => {
    const { url } = app.database
    const pools = [
      createPool(() => postgres(url, { ...connection, max: limits.readers }), app.log),
      createPool(() => postgres(url, writing), app.log)
    ] as const
    const end = (options: { timeout: number }) => Promise.all(pools.map(pool => pool.end(options)))
    // Before requests are cut off, so that who waits for a database that hangs is answered 503.
    app.addHook('preClose', async () => {
      setTimeout(() => end({ timeout: 0 }), limits.closeMs).unref()
    })
    app.addHook('onClose', () => end({ timeout: 1 }))
    const [sql, writeSql] = pools
    const applied = await migrate(sql)
    if (applied.length > 0) app.log.info({ applied }, 'database migrated')
    app.decorate('sql', sql)
    app.decorate('writeSql', writeSql)
  },
  { name: 'pools', dependencies: ['database'] }
)
