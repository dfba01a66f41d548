import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** The configured database, or the embedded PostgreSQL. */
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
  const { databaseUrl, listenUrl } = app.config
  const embedded = await app.embeddedPostgres
  if (embedded) {
    const { url, psql } = embedded
    app.decorate('database', { url, listenUrl: url, psql })
  } else if (databaseUrl) {
    const psql = 'psql "$DATABASE_URL"'
    app.decorate('database', { url: databaseUrl, listenUrl: listenUrl ?? databaseUrl, psql })
  }
}

export default fp(database, { name: 'database', dependencies: ['config', 'embedded-postgres'] })
