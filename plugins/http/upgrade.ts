import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

/** Closes the connection after a request whose Upgrade header the service ignores. */
async function upgrade(app: FastifyInstance) {
  app.addHook('onRequest', ({ headers, raw }, reply, done) => {
    // Node discards the bytes that follow such a request in the same packet. They may be the next request of a client
    // that pipelines. The client sends that request again when the connection closes (RFC 9112, 9.3.2).
    if (headers.upgrade !== undefined && !isLiveUpgrade(raw)) reply.header('connection', 'close')
    done()
  })
}

/** Returns whether a request becomes a WebSocket. All other Upgrade headers are ignored (RFC 9110, 7.8). */
export function isLiveUpgrade({ method, url = '', headers }: IncomingMessage): boolean {
  return method === 'GET' && /^\/live(\?|$)/.test(url) && /^websocket$/i.test(headers.upgrade ?? '')
}

export default fp(upgrade, { name: 'upgrade' })
