import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** Where the database is: the configured one, or the embedded one that this plugin runs. */
    database: { url: string; listenUrl: string }
  }
}

export default fp(
  async app => {
    const { databaseUrl, listenUrl } = app.config
    if (!databaseUrl) throw new Error('not yet')
    app.decorate('database', { url: databaseUrl, listenUrl: listenUrl ?? databaseUrl })
  },
  { name: 'embedded', dependencies: ['config'] }
)
