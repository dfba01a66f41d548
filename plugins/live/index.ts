import { setImmediate as breathe } from 'node:timers/promises'
import websocket from '@fastify/websocket'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { WebSocket } from 'ws'
import { buildValidator } from '../../lib/validation.ts'
import { ClientMessage } from '../../schemas/live.ts'
import type { Identity } from '../auth.ts'
import { createConnection, limits } from './connection.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Serves one socket until it closes. */
    openLive(socket: WebSocket, identity: Identity): void
  }

  interface FastifyRequest {
    /** Who opens a socket, known before the 101. */
    identity: Identity | null
  }
}

/** Sockets closed in one go: a thousand closed in one tick would come back in one. */
const SLICE = 200

/** Closed for a restart: clients come back, to another node or this one. RFC 6455, registry of close codes. */
const SERVICE_RESTART = 1012

export default fp(
  async app => {
    const open = new Set<ReturnType<typeof createConnection>>()

    await app.register(websocket, {
      options: { maxPayload: limits.frameBytes, perMessageDeflate: false },
      errorHandler: (error, socket, request: FastifyRequest) => {
        request.log.info({ err: error }, 'a socket failed')
        socket.terminate()
      },
      preClose
    })
    app.decorateRequest('identity', null)
    const isMessage = buildValidator({})({ schema: ClientMessage, httpPart: 'body' } as never)

    app.decorate('openLive', (socket, identity) => {
      const connection = createConnection(app, socket, {
        identity,
        isMessage,
        onGone: () => open.delete(connection)
      })
      open.add(connection)
      connection.start()
    })

    // What pushes have begun is finished and acknowledged first: connection.close() waits for it.
    async function preClose() {
      const closing = []
      for (const [n, connection] of [...open].entries()) {
        closing.push(connection.close(SERVICE_RESTART, 'the service restarts: connect again'))
        if (n % SLICE === 0) await breathe()
      }
      await Promise.all(closing)
    }
  },
  { name: 'live', dependencies: ['pubsub', 'wheel', 'sessions', 'operations', 'presence'] }
)
