import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { type Postgres, startPostgres } from '../lib/embedded-postgres/server.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Resolves when the embedded PostgreSQL runs. Undefined when DATABASE_URL is set. */
    embeddedPostgres: Promise<Postgres> | undefined
  }
}

/** Starts the embedded PostgreSQL and does not wait for it, because it starts while the service loads its modules. */
async function plugin(app: FastifyInstance) {
  const { databaseUrl, dataDir, workers } = app.config
  app.decorate('embeddedPostgres', undefined)
  if (databaseUrl) return
  // PostgreSQL's default is 100. Each worker has up to eight connections.
  const settings: Record<string, string> =
    workers > 1 ? { max_connections: String(100 + 8 * workers) } : {}
  const starting = startPostgres(dataDir, settings, step => app.log.info(step))
  starting.catch(() => {}) // the plugin `database` waits for it, and then throws the error
  app.embeddedPostgres = starting
  // Fastify runs onClose hooks in reverse order, so this one stops PostgreSQL after the pools have closed.
  app.addHook('onClose', async () => {
    const postgres = await starting.catch(() => undefined)
    await postgres?.stop()
  })
}

export default fp(plugin, { name: 'embedded-postgres', dependencies: ['config'] })
