import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import postgres from 'postgres'
import { withTimeout } from '../../lib/with-timeout.ts'
import type { Sql } from '../../sql/executor.ts'
import { notify } from '../../sql/log.ts'
import { connection } from '../db/pools.ts'

const limits = {
  heartbeatMs: 3000,
  // A stopped backend is silent for ever: two missed heartbeats, and the third, 9 s after the last one that
  // was heard, makes the connection anew.
  silentMs: 6000,
  connectMs: 5000,
  retryMs: 250,
  // How long the start waits for the first heartbeat to come back.
  firstMs: 2000,
  // And the end for a connection that is being made.
  lastMs: 1000
}

export interface ListenerOptions {
  /** DSN of a direct connection: LISTEN does not work through a pooler in transaction mode. */
  url: string
  /** The pool that heartbeats are sent through. */
  sql: Sql
  log: FastifyBaseLogger
  /** Called on every doorbell and after every (re)connect, when what was rung meanwhile is lost. */
  onBell: () => void
}

/** The one LISTEN connection of the process. Rejects when the database cannot be reached at the start. */
export async function createListener({ url, sql, log, onBell }: ListenerOptions) {
  const alive = `hb:${randomUUID()}`
  const firstBeat = Promise.withResolvers<void>()
  let isOpen = true
  let heardAt = Number.NEGATIVE_INFINITY
  let connectedAt = 0
  let connects = 0
  let isBeating = false
  let replacing: Promise<void> | undefined
  let bus = await listen()
  const timer = setInterval(beat, limits.heartbeatMs)
  await withTimeout(firstBeat.promise, limits.firstMs).catch(() => {
    log.warn(
      'a NOTIFY does not come back: events are delivered by polling until it does. ' +
        'Behind a pooler set LISTEN_URL to a direct connection'
    )
  })

  return {
    /** Whether what is rung was heard lately. */
    get isListening() {
      return performance.now() - heardAt < limits.silentMs
    },

    /** How often the connection was made. */
    get connects() {
      return connects
    },

    async close() {
      isOpen = false
      clearInterval(timer)
      await withTimeout(Promise.resolve(replacing), limits.lastMs).catch(() => {})
      await bus.end({ timeout: 1 })
    }
  }

  async function listen() {
    const instance = postgres(url, {
      ...connection,
      max: 1,
      connection: { ...connection.connection, application_name: 'concord listen' }
    })
    try {
      await withTimeout(instance.listen('concord', hear, onListening), limits.connectMs)
      return instance
    } catch (error) {
      // Else it would go on trying by itself, and there would be two.
      await instance.end({ timeout: 0 })
      throw error
    }
  }

  // postgres.js runs these inside its parser: a throw would surface in some other query.
  function hear(payload: string) {
    // Whatever is heard, another node's heartbeat too, shows that this connection is alive.
    heardAt = performance.now()
    firstBeat.resolve()
    if (payload === '') onBell()
  }

  function onListening() {
    connects++
    connectedAt = performance.now()
    onBell()
    beat()
  }

  function beat() {
    sendBeat()
    const isSilent = performance.now() - Math.max(heardAt, connectedAt) > limits.silentMs
    if (isSilent && isOpen) {
      replacing ??= replace().finally(() => {
        replacing = undefined
      })
    }
  }

  async function sendBeat() {
    // A database that does not answer is asked once, not once a heartbeat.
    if (isBeating) return
    isBeating = true
    await notify(sql, alive).catch(() => {}) // the readers tell of it
    isBeating = false
  }

  async function replace() {
    // Behind a pooler it never was anything else, and that has been said.
    if (heardAt > 0) log.warn('the LISTEN connection is silent: connecting anew')
    await bus.end({ timeout: 0 }).catch(() => {})
    while (isOpen) {
      try {
        bus = await listen()
        if (!isOpen) await bus.end({ timeout: 0 })
        return
      } catch {
        await delay(limits.retryMs)
      }
    }
  }
}
