import fp from 'fastify-plugin'
import { startPostgres } from '../../lib/embedded-postgres/server.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Where the database is: the configured one, or the embedded one that this plugin runs. */
    database: Database
  }
}

interface Database {
  /** Holds the password: never to be printed. */
  url: string
  listenUrl: string
  /** What a person types to reach it. */
  psql: string
}

export default fp(
  async app => {
    const { databaseUrl, listenUrl, dataDir } = app.config
    if (databaseUrl) {
      const psql = 'psql "$DATABASE_URL"'
      app.decorate('database', { url: databaseUrl, listenUrl: listenUrl ?? databaseUrl, psql })
      return
    }
    const postgres = await startPostgres(dataDir)
    // Registered before those of the pools, so run after them.
    app.addHook('onClose', () => postgres.stop())
    app.decorate('database', { url: postgres.url, listenUrl: postgres.url, psql: postgres.psql })
  },
  { name: 'database', dependencies: ['config'] }
)
