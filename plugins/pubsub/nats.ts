import { setTimeout as delay } from 'node:timers/promises'
import type { NatsConnection } from '@nats-io/transport-node'
import type { FastifyBaseLogger } from 'fastify'
import type { NatsOptions } from '../../lib/config.ts'
import { withTimeout } from '../../lib/with-timeout.ts'

const limits = { connectMs: 3000, reconnectMs: 500, pingMs: 5000, flushMs: 3000, closeMs: 1000 }

/**
 * Connects to NATS, and again whenever the connection is lost. Returns at once. Every subscription lasts until its end,
 * over all connections; what is published meanwhile is lost to it.
 */
export function connectNats(
  { servers, user, password, isEncrypted, credentials }: NatsOptions,
  log: FastifyBaseLogger
) {
  let connection: NatsConnection | undefined
  let isConnected = false
  const starts = new Set<(connection: NatsConnection) => void>()
  const closing = new AbortController()
  const { signal } = closing
  const using = run()

  return {
    isConnected: () => isConnected,

    /** Calls `receive` with each message of a subject. Returns a function that ends the subscription. */
    subscribe(subject: string, receive: (message: Uint8Array) => void): () => void {
      let end = () => {}
      const start = (to: NatsConnection) => {
        const subscription = to.subscribe(subject, {
          callback: (error, { data }) => {
            if (!error) receive(data)
          }
        })
        end = () => subscription.unsubscribe()
      }
      starts.add(start)
      if (connection) start(connection)
      return () => {
        starts.delete(start)
        end()
      }
    },

    /** Resolves when the server has received the messages. Throws when that takes longer than 3 s. */
    async publish(subject: string, messages: readonly Uint8Array[]): Promise<void> {
      // The client would keep in memory what it cannot send.
      if (!connection || !isConnected) throw new Error('NATS is not connected')
      for (const message of messages) connection.publish(subject, message)
      await withTimeout(connection.flush(), limits.flushMs)
    },

    async close() {
      closing.abort()
      isConnected = false
      await withTimeout(connection?.close() ?? Promise.resolve(), limits.closeMs).catch(() => {})
      await using
    }
  }

  /** Connects until that succeeds for the first time. From then on, the client reconnects by itself. */
  async function run() {
    let isLogged = false
    while (!signal.aborted) {
      try {
        await use(await open())
        return
      } catch (err) {
        if (!isLogged) log.warn({ err }, 'NATS not connected: reading events from PostgreSQL')
        isLogged = true
        await delay(limits.reconnectMs, null, { signal }).catch(() => {})
      }
    }
  }

  async function open(): Promise<NatsConnection> {
    // Loaded here, because most nodes run without NATS.
    const { connect, credsAuthenticator } = await import('@nats-io/transport-node')
    return connect({
      name: 'concord',
      servers: [...servers],
      ...(user !== undefined && { user, pass: password }),
      ...(isEncrypted && { tls: {} }),
      ...(credentials && { authenticator: credsAuthenticator(Buffer.from(credentials)) }),
      // The server does not send the own pages back.
      noEcho: true,
      ignoreAuthErrorAbort: true,
      maxReconnectAttempts: -1,
      reconnectTimeWait: limits.reconnectMs,
      timeout: limits.connectMs,
      pingInterval: limits.pingMs,
      maxPingOut: 1
    })
  }

  async function use(opened: NatsConnection) {
    connection = opened
    if (signal.aborted) return opened.close()
    isConnected = true
    log.info('NATS connected')
    for (const start of starts) start(opened)
    for await (const { type } of opened.status()) {
      if (type === 'disconnect' && isConnected) {
        isConnected = false
        log.warn('NATS disconnected: reading events from PostgreSQL')
      } else if (type === 'reconnect') {
        isConnected = true
        log.info('NATS connected again')
      }
    }
  }
}
