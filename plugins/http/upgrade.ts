import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

/** Closes the connection after a request whose header Upgrade is ignored. */
async function upgrade(app: FastifyInstance) {
  app.addHook('onRequest', async ({ headers, raw }, reply) => {
    // Node drops what came in one packet behind such a request. A client that sent another one there has to see that
    // its connection ends, and sends it again (RFC 9112, 9.3.2).
    if (headers.upgrade !== undefined && !isLiveUpgrade(raw)) reply.header('connection', 'close')
  })
}

/** Whether a request becomes a WebSocket. The header Upgrade of any other is ignored, as RFC 9110 (7.8) allows. */
export function isLiveUpgrade({ method, url = '', headers }: IncomingMessage): boolean {
  return method === 'GET' && /^\/live(\?|$)/.test(url) && /^websocket$/i.test(headers.upgrade ?? '')
}

export default fp(upgrade, { name: 'upgrade' })
