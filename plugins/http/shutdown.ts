import fp from 'fastify-plugin'

/** How long requests under way may take once the service closes. */
const DRAIN_MS = 5_000

/** Lets requests end, and ends those whose client stalls: closing never hangs on a stranger. */
export default fp(
  async app => {
    app.addHook('preClose', async () => {
      setTimeout(() => app.server.closeAllConnections(), DRAIN_MS).unref()
    })
  },
  { name: 'shutdown' }
)
