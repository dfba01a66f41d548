import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    shutdown: { readonly isClosing: boolean }
  }
}

/**
 * The limits of the shutdown of a node. Its steps, in order:
 *
 * 1. server.ts receives SIGTERM or SIGINT and calls `app.close()`. The process ends at once on a second
 *    signal, and after `processMs`.
 * 2. `GET /health/ready` responds 503 `draining`, so that load balancers send no more clients.
 * 3. Streams end (plugins/live/feed), at most `perTurn` in one turn of the event loop, because the clients of one turn
 *    reconnect at the same time. A client that does not receive the end within `streamMs` is disconnected.
 * 4. Sockets complete the push that is being handled, within `pushMs`, and close with 1012 (plugins/live/socket). A
 *    client that does not complete the close handshake within `handshakeMs` is disconnected.
 * 5. Jobs stop after their current statement (plugins/jobs).
 * 6. The server completes its requests. After `queriesMs` the pools end the queries that are still running, so that
 *    their requests are refused with 503 even when the database hangs. After `requestsMs` every connection is closed.
 * 7. The LISTEN connection, the log query and the pools close, each within `connectionMs`. PostgreSQL stops last.
 *
 * With several workers, the primary makes each of them take steps 1 to 7, and kills those that still run after
 * `workersMs`. Then it takes step 7 itself. Until then it sends pages, because pushes wait for their events.
 */
export const shutdownLimits = {
  perTurn: 200,
  streamMs: 5_000,
  pushMs: 5_000,
  handshakeMs: 3_000,
  queriesMs: 4_000,
  requestsMs: 5_000,
  connectionMs: 1_000,
  workersMs: 11_000,
  /** Leaves some seconds after `requestsMs` for the embedded PostgreSQL to stop. */
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
