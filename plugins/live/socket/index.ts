import type { ServerResponse } from 'node:http'
import websocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { WebSocket } from 'ws'
import { TooManySockets } from '../../../lib/errors.ts'
import { createTokenBuckets } from '../../../lib/token-bucket.ts'
import { createValidator } from '../../../lib/validation.ts'
import type { OpenSocket } from '../../../schemas/connections.ts'
import { maximum } from '../../../schemas/limits.ts'
import { ClientMessage } from '../../../schemas/live.ts'
import { refuseSocket } from '../../http/errors.ts'
import { closeAll, shutdownLimits } from '../../http/shutdown.ts'
import { Connection } from './connection.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The onRequest hook of sockets. Throws TooManySockets when the user has too many open sockets. */
    refuseTooManySockets(request: FastifyRequest, reply: FastifyReply): Promise<void>
    /** Runs one socket until it closes. `request` is its handshake. */
    openSocket(socket: WebSocket, request: FastifyRequest): void
    /** Returns the open sockets of a user in this process. */
    socketsOf(userId: string): OpenSocket[]
  }

  interface FastifyRequest {
    /** The response to a handshake. */
    handshakeResponse: ServerResponse
  }
}

const limits = {
  socketsPerUser: 200,
  retryAfterSeconds: 30,
  // Messages of a socket per second, and in a burst. Only a client with an endless loop sends more.
  messages: { rate: 100, burst: 500 }
}

async function socket(app: FastifyInstance) {
  const { config, nodeLimits, metrics, shutdown } = app
  const connections = new Set<Connection>()
  const max = config.rateLimit ? limits.socketsPerUser : Number.POSITIVE_INFINITY
  const quota = nodeLimits.quota('sockets', max)
  const rate = createTokenBuckets(limits.messages)

  await app.register(websocket, {
    options: {
      maxPayload: maximum.frameBytes,
      perMessageDeflate: false,
      // By default, ws selects the first protocol that the client offers. This may be the token of the client.
      handleProtocols: () => false
    },
    errorHandler: (error, socket) => onError.call(socket, error),
    preClose: closeSockets
  })
  app.websocketServer.on('wsClientError', ({ message }, socket) => {
    const error = { code: 'BAD_HANDSHAKE', message } as const
    refuseSocket(socket, 400, error, 'Sec-WebSocket-Version: 13')
  })
  const isMessage = createValidator(ClientMessage, 'body')

  app.decorateRequest('handshakeResponse')
  app.decorate('refuseTooManySockets', async (request, reply) => {
    if (await quota.isUsedUp(request.identity.userId)) {
      const { socketsPerUser, retryAfterSeconds: retryAfter } = limits
      throw Object.assign(new TooManySockets(socketsPerUser), { retryAfter })
    }
    request.handshakeResponse = reply.raw
    if (request.ws) request.raw.socket.cork() // until the first message
  })

  function onError(this: WebSocket, err: Error) {
    app.log.info({ err }, 'socket closed: protocol error')
    this.terminate()
  }

  app.decorate('openSocket', (socket, { identity, raw, handshakeResponse }) => {
    const connection = raw.socket
    // @fastify/websocket would keep the request and the response as long as the socket: a third of its memory.
    socket.removeAllListeners('error')
    socket.on('error', onError)
    handshakeResponse.detachSocket(connection)
    const live: Connection = new Connection({
      app,
      socket,
      identity,
      connection,
      isMessage,
      rate,
      onClosed() {
        if (connections.delete(live)) quota.release(identity.userId)
      }
    })
    quota.take(identity.userId)
    connections.add(live)
    live.start()
    connection.uncork()
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
