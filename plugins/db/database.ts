import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { startPostgres } from '../../lib/embedded-postgres/server.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The configured database. Without one, this plugin starts and stops an embedded PostgreSQL. */
    database: Database
  }
}

interface Database {
  /** Contains the password: never print it. */
  url: string
  /** URL of a direct connection for LISTEN. */
  listenUrl: string
  /** The command that connects psql to the database. It contains no password. */
  psql: string
}

async function database(app: FastifyInstance) {
  const { config } = app
  const { databaseUrl, listenUrl, dataDir } = config
  if (databaseUrl) {
    const psql = 'psql "$DATABASE_URL"'
    app.decorate('database', { url: databaseUrl, listenUrl: listenUrl ?? databaseUrl, psql })
    return
  }
  // PostgreSQL's default is 100. Each worker has up to eight connections.
  const settings: Record<string, string> =
    config.workers > 1 ? { max_connections: String(100 + 8 * config.workers) } : {}
  const postgres = await startPostgres(dataDir, settings, step => app.log.info(step))
  // Fastify runs onClose hooks in reverse order, so this one stops PostgreSQL after the pools have closed.
  app.addHook('onClose', () => postgres.stop())
  app.decorate('database', { url: postgres.url, listenUrl: postgres.url, psql: postgres.psql })
}

export default fp(database, { name: 'database', dependencies: ['config'] })
