import type { Socket } from 'node:net'
import { setImmediate as breathe } from 'node:timers/promises'
import websocket from '@fastify/websocket'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { WebSocket } from 'ws'
import { TooManySockets } from '../../../lib/errors.ts'
import { createQuota } from '../../../lib/quota.ts'
import { buildValidator } from '../../../lib/validation.ts'
import { maximum } from '../../../schemas/limits.ts'
import { ClientMessage } from '../../../schemas/live.ts'
import type { Identity } from '../../auth/authenticate.ts'
import { refuseSocket } from '../../http/errors.ts'
import { createConnection } from './connection.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Throws TooManySockets when a user has too many: to be asked before the 101. */
    admitLive(identity: Identity): void
    /** Serves one socket, whose frames are written to `wire`, until it closes. */
    openLive(socket: WebSocket, wire: Socket, identity: Identity): void
  }

  interface FastifyRequest {
    /** Who opens a socket, known before the 101. */
    identity: Identity | null
  }
}

const numbers = {
  socketsAUser: 200,
  retryAfterSeconds: 30,
  // Sockets closed in one go: a thousand closed in one tick would come back in one.
  slice: 200,
  // How long a peer may take to answer that a socket closes.
  leaveMs: 3000
}

export default fp(
  async app => {
    const open = new Set<ReturnType<typeof createConnection>>()
    let isClosing = false
    const quota = createQuota(
      app.config.rateLimit ? numbers.socketsAUser : Number.POSITIVE_INFINITY
    )

    await app.register(websocket, {
      options: {
        maxPayload: maximum.frameBytes,
        perMessageDeflate: false,
        // The default selects what the client offers first, which may be its token.
        handleProtocols: () => false
      },
      errorHandler: (error, socket, request: FastifyRequest) => {
        request.log.info({ err: error }, 'a socket failed')
        socket.terminate()
      },
      preClose
    })
    // A handshake that is none of RFC 6455.
    app.websocketServer.on('wsClientError', ({ message }, socket) => {
      const error = { code: 'BAD_HANDSHAKE', message } as const
      refuseSocket(socket, 400, error, 'Sec-WebSocket-Version: 13')
    })
    app.decorateRequest('identity', null)
    const isMessage = buildValidator({})({ schema: ClientMessage, httpPart: 'body' } as never)

    app.decorate('admitLive', ({ userId }) => {
      if (!quota.isUsedUp(userId)) return
      const { socketsAUser, retryAfterSeconds: retryAfter } = numbers
      throw Object.assign(new TooManySockets(socketsAUser), { retryAfter })
    })

    app.decorate('openLive', (socket, wire, identity) => {
      const connection = createConnection(app, socket, {
        identity,
        wire,
        isMessage,
        onGone() {
          if (open.delete(connection)) quota.giveBack(identity.userId)
        }
      })
      quota.take(identity.userId)
      open.add(connection)
      connection.start()
      // Its identity was looked up while the others were closed.
      if (isClosing) connection.drain()
    })

    app.metrics.states('sockets', 'Open sockets', ['live', 'lagging'], () => open)
    app.metrics.gauge('socket_buffered_bytes', 'Written to sockets and not yet sent', () =>
      [...open].reduce((sum, { bufferedBytes }) => sum + bufferedBytes, 0)
    )

    // What pushes have begun is finished and acknowledged first. A peer that does not take its leave is cut off.
    async function preClose() {
      isClosing = true
      const closing = []
      for (const [n, connection] of [...open].entries()) {
        closing.push(connection.drain())
        if (n % numbers.slice === 0) await breathe()
      }
      await Promise.all(closing)
      setTimeout(() => {
        for (const socket of app.websocketServer.clients) socket.terminate()
      }, numbers.leaveMs).unref()
    }
  },
  {
    name: 'socket',
    dependencies: [
      ...['config', 'pubsub', 'catch-up', 'ended-sessions', 'operations', 'presence', 'metrics']
    ]
  }
)
