import fp from 'fastify-plugin'

/** How long what is under way may take once the service closes. */
const limits = { queriesMs: 4000, requestsMs: 5000 }

/**
 * Lets requests end: with 503 where the database hangs, without an answer where the client stalls. Closing
 * never hangs on a stranger.
 */
export default fp(
  async app => {
    app.addHook('preClose', async () => {
      setTimeout(() => app.sql.end({ timeout: 0 }), limits.queriesMs).unref()
      setTimeout(() => app.server.closeAllConnections(), limits.requestsMs).unref()
    })
  },
  { name: 'drain', dependencies: ['db'] }
)
