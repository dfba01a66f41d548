import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import postgres from 'postgres'
import { connectionOptions } from '../../lib/postgres/connection.ts'
import { withTimeout } from '../../lib/with-timeout.ts'
import type { Sql } from '../../sql/executor.ts'
import { notify } from '../../sql/log.ts'
import { shutdownLimits } from '../http/shutdown.ts'

const limits = {
  // The interval varies between half and one and a half of this, so that one of many idle nodes sends the heartbeat
  // that all of them receive.
  checkMs: 1000,
  // Also the heartbeat of another node, or a commit, shows that the connection works. So heartbeats do not grow with
  // the square of the number of nodes.
  heartbeatAfterMs: 3000,
  // A connection that is silent for so long is replaced at the next check.
  silentMs: 6000,
  connectMs: 5000,
  retryMs: 250,
  firstHeartbeatMs: 2000
}

export interface ListenerOptions {
  /** URL of a direct connection: LISTEN does not work through a pooler in transaction mode. */
  url: string
  /** The pool that sends the heartbeats. */
  sql: Sql
  log: FastifyBaseLogger
  /** Called after every connect, because notifications may have been lost before it. */
  onConnect: () => void
  onNotification: () => void
}

/** Opens the one LISTEN connection of the process. Rejects when the database cannot be reached at the start. */
export async function createListener({
  url,
  sql,
  log,
  onConnect,
  onNotification
}: ListenerOptions) {
  const firstHeartbeat = Promise.withResolvers<void>()
  const options = connectionOptions({ application_name: 'concord listen' })
  let isOpen = true
  let receivedAt = Number.NEGATIVE_INFINITY
  let connectedAt = 0
  let isSending = false
  let replacing: Promise<void> | undefined
  let connection = await listen()
  let timer = scheduleCheck()
  await withTimeout(firstHeartbeat.promise, limits.firstHeartbeatMs).catch(() => {
    log.warn(
      'NOTIFY does not arrive: events are delivered by polling until it does. ' +
        'Behind a pooler set LISTEN_URL to a direct connection'
    )
  })

  return {
    /** Whether a notification has arrived within the last 6 s. */
    get isListening() {
      return performance.now() - receivedAt < limits.silentMs
    },

    async close() {
      isOpen = false
      clearTimeout(timer)
      await withTimeout(Promise.resolve(replacing), shutdownLimits.connectionMs).catch(() => {})
      await connection.end({ timeout: shutdownLimits.connectionMs / 1000 })
    }
  }

  async function listen() {
    const instance = postgres(url, { ...options, max: 1 })
    try {
      await withTimeout(instance.listen('concord', receive, onListening), limits.connectMs)
      return instance
    } catch (error) {
      // Otherwise this instance would reconnect by itself, and there would be two connections.
      await instance.end({ timeout: 0 })
      throw error
    }
  }

  // postgres.js calls this function within its parser. An error thrown here would reject an unrelated query.
  function receive(payload: string) {
    receivedAt = performance.now()
    firstHeartbeat.resolve()
    if (payload === '') onNotification()
  }

  function onListening() {
    connectedAt = performance.now()
    onConnect()
    void sendHeartbeat()
  }

  function scheduleCheck() {
    return setTimeout(check, limits.checkMs * (0.5 + Math.random()))
  }

  function check() {
    timer = scheduleCheck()
    const silentMs = performance.now() - Math.max(receivedAt, connectedAt)
    if (silentMs > limits.heartbeatAfterMs) void sendHeartbeat()
    if (silentMs > limits.silentMs) {
      replacing ??= replace().finally(() => {
        replacing = undefined
      })
    }
  }

  async function sendHeartbeat() {
    if (isSending) return
    isSending = true
    await notify(sql, 'heartbeat').catch(() => {}) // the pubsub plugin logs the outage
    isSending = false
  }

  async function replace() {
    // If no notification has ever arrived, as behind a pooler, the start has logged a warning.
    if (receivedAt > 0) log.warn('LISTEN connection silent for 6 s: reconnecting')
    await connection.end({ timeout: 0 }).catch(() => {})
    while (isOpen) {
      try {
        connection = await listen()
        if (!isOpen) await connection.end({ timeout: 0 })
        return
      } catch {
        await delay(limits.retryMs)
      }
    }
  }
}
