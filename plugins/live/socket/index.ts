import type { Socket } from 'node:net'
import websocket from '@fastify/websocket'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { WebSocket } from 'ws'
import { TooManySockets } from '../../../lib/errors.ts'
import { buildValidator } from '../../../lib/validation.ts'
import type { OpenSocket } from '../../../schemas/connections.ts'
import { maximum } from '../../../schemas/limits.ts'
import { ClientMessage } from '../../../schemas/live.ts'
import type { Identity } from '../../auth/authenticate.ts'
import { refuseSocket } from '../../http/errors.ts'
import { closeAll, shutdownLimits } from '../../http/shutdown.ts'
import { createConnection } from './connection.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The onRequest hook of sockets. Throws TooManySockets when the user has too many open sockets. */
    refuseTooManySockets(request: FastifyRequest): Promise<void>
    /** Runs one socket on its TCP connection until it closes. */
    openSocket(socket: WebSocket, connection: Socket, identity: Identity): void
    /** Returns the open sockets of a user in this process. */
    socketsOf(userId: string): OpenSocket[]
  }
}

const limits = { socketsPerUser: 200, retryAfterSeconds: 30 }

async function socket(app: FastifyInstance) {
  const { config, nodeLimits, metrics, shutdown } = app
  const connections = new Set<ReturnType<typeof createConnection>>()
  const max = config.rateLimit ? limits.socketsPerUser : Number.POSITIVE_INFINITY
  const quota = nodeLimits.quota('sockets', max)

  await app.register(websocket, {
    options: {
      maxPayload: maximum.frameBytes,
      perMessageDeflate: false,
      // By default, ws selects the first protocol that the client offers. This may be the token of the client.
      handleProtocols: () => false
    },
    errorHandler: (error, socket, request: FastifyRequest) => {
      request.log.info({ err: error }, 'socket closed: handler failed')
      socket.terminate()
    },
    preClose: closeSockets
  })
  app.websocketServer.on('wsClientError', ({ message }, socket) => {
    const error = { code: 'BAD_HANDSHAKE', message } as const
    refuseSocket(socket, 400, error, 'Sec-WebSocket-Version: 13')
  })
  const isMessage = buildValidator({})({ schema: ClientMessage, httpPart: 'body' } as never)

  app.decorate('refuseTooManySockets', async ({ identity }) => {
    if (!(await quota.isUsedUp(identity.userId))) return
    const { socketsPerUser, retryAfterSeconds: retryAfter } = limits
    throw Object.assign(new TooManySockets(socketsPerUser), { retryAfter })
  })

  app.decorate('openSocket', (socket, connection, identity) => {
    const live = createConnection(app, socket, {
      identity,
      connection,
      isMessage,
      onClosed() {
        if (connections.delete(live)) quota.release(identity.userId)
      }
    })
    quota.take(identity.userId)
    connections.add(live)
    live.start()
    // The shutdown may have begun while the database was queried for the session.
    if (shutdown.isClosing) live.drain()
  })

  app.decorate('socketsOf', userId =>
    [...connections].map(live => live.describe()).filter(socket => socket.userId === userId)
  )

  metrics.states('sockets', 'Open sockets by state', ['live', 'lagging'], () => connections)
  metrics.gauge('socket_buffered_bytes', 'Bytes written to sockets and not yet sent', () =>
    [...connections].reduce((sum, { bufferedBytes }) => sum + bufferedBytes, 0)
  )

  async function closeSockets() {
    const closing: Promise<void>[] = []
    await closeAll(connections, connection => closing.push(connection.drain()))
    await Promise.all(closing)
    setTimeout(() => {
      for (const socket of app.websocketServer.clients) socket.terminate()
    }, shutdownLimits.handshakeMs).unref()
  }
}

export default fp(socket, {
  name: 'socket',
  dependencies: [
    ...['config', 'tracing', 'node-limits', 'metrics', 'shutdown', 'pools', 'pubsub', 'catch-up'],
    ...['access-tokens', 'ended-sessions', 'authenticate', 'operations', 'presence']
  ]
})
