import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    shutdown: { readonly isClosing: boolean }
  }
}

/**
 * The shutdown of a node, in its sequence, with the numbers of each step:
 *
 * 1. server.ts receives SIGTERM or SIGINT and calls `app.close()`. A second signal ends the process at once, and so does
 *    `processMs`.
 * 2. `GET /health/ready` responds 503 `draining`, so that load balancers send no more clients.
 * 3. Streams end (plugins/live/feed), `perTurn` in one turn of the event loop: the clients of one turn reconnect together.
 *    A client that does not receive the end within `streamMs` is disconnected.
 * 4. Sockets accept no further push, finish the one under way within `pushMs` and close with 1012 (plugins/live/socket).
 *    A client that does not complete the close handshake within `handshakeMs` is disconnected.
 * 5. Jobs stop after their current statement (plugins/jobs).
 * 6. The server accepts no more connections and completes its requests. After `queriesMs` the pools end what a database
 *    that hangs has not completed, so that its requests are still refused with 503 (plugins/db/pools.ts); after `requestsMs`
 *    every connection is closed.
 * 7. The LISTEN connection, the log query and the pools close, each within `connectionMs`, and last the embedded PostgreSQL.
 */
export const shutdownLimits = {
  perTurn: 200,
  streamMs: 5_000,
  pushMs: 5_000,
  handshakeMs: 3_000,
  queriesMs: 4_000,
  requestsMs: 5_000,
  connectionMs: 1_000,
  /** PostgreSQL needs some seconds after the requests. */
  processMs: 15_000
}

async function shutdown(app: FastifyInstance) {
  const state = { isClosing: false }
  app.decorate('shutdown', state)
  app.addHook('preClose', async () => {
    state.isClosing = true
    setTimeout(() => app.server.closeAllConnections(), shutdownLimits.requestsMs).unref()
  })
}

/** Calls `close` for every connection, and yields to the event loop after every `perTurn` of them. */
export async function closeAll<T>(connections: Iterable<T>, close: (connection: T) => void) {
  let closed = 0
  for (const connection of [...connections]) {
    close(connection)
    if (++closed % shutdownLimits.perTurn === 0) await nextTurn()
  }
}

export default fp(shutdown, { name: 'shutdown' })
