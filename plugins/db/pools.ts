import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import postgres from 'postgres'
import { connectionOptions } from '../../lib/postgres/connection.ts'
import { createPool } from '../../lib/postgres/pool.ts'
import { shareOf } from '../../lib/share.ts'
import type { Sql } from '../../sql/executor.ts'
import { migrate } from '../../sql/migrate.ts'
import { shutdownLimits } from '../http/shutdown.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The pool for reads, and for writes that add no event to the log. A statement waits at most 5 s for a lock. */
    sql: Sql
    /**
     * The pool for writes that may add events to the log. A statement waits at most 200 ms for a lock, also for the
     * commit lock, so that a transaction in psql does not block all connections. `write` and `operations` retry.
     */
    writeSql: Sql
  }
}

const limits = {
  // Of a node. Each worker gets its share: 3 connections or more, because catch-up queries take half of the readers, and
  // operations take two of the writers.
  readers: 8,
  // More writers would only wait for the commit lock: 4–8 writers are as fast as 32.
  writers: 7,
  leastOfWorker: 3,
  writeLockMs: 200
}

async function pools(app: FastifyInstance) {
  const { url } = app.database
  const share = (limit: number) => shareOf(limit, app.config.workers, limits.leastOfWorker)
  const read = { ...connectionOptions(), max: share(limits.readers) }
  const write = {
    ...connectionOptions({ lock_timeout: limits.writeLockMs }),
    max: share(limits.writers)
  }
  const trace = app.tracing?.traceStatements ?? (pool => pool)
  const onProbe = (pool: string) => (seconds: number) =>
    app.metrics.poolSeconds.set({ pool }, seconds)
  const sql = trace(createPool(() => postgres(url, read), app.log, onProbe('read')))
  const writeSql = trace(createPool(() => postgres(url, write), app.log, onProbe('write')))
  const end = (timeout: number) => Promise.all([sql.end({ timeout }), writeSql.end({ timeout })])

  app.addHook('preClose', async () => {
    setTimeout(() => end(0), shutdownLimits.queriesMs).unref()
  })
  app.addHook('onClose', () => end(shutdownLimits.connectionMs / 1000))
  const applied = await migrate(sql)
  if (applied.length > 0) app.log.info({ applied }, 'database migrated')
  app.decorate('sql', sql)
  app.decorate('writeSql', writeSql)
}

export default fp(pools, {
  name: 'pools',
  dependencies: ['config', 'metrics', 'tracing', 'database', 'shutdown']
})
