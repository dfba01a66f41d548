import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import postgres from 'postgres'
import { ring } from '../../sql/log.ts'
import { connection, type Sql } from '../db.ts'

const limits = {
  heartbeatMs: 5000,
  // A stopped backend is silent for ever: after two missed heartbeats the connection is made anew.
  silentMs: 10_000,
  retryMs: 250
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

export type Listener = Awaited<ReturnType<typeof createListener>>

/** The one LISTEN connection of the process. Rejects when the database cannot be reached at the start. */
export async function createListener({ url, sql, log, onBell }: ListenerOptions) {
  const alive = `hb:${randomUUID()}`
  let isOpen = true
  let heardAt = performance.now()
  let replacing: Promise<void> | undefined
  let bus = await listen()
  const timer = setInterval(beat, limits.heartbeatMs)

  return {
    /** Whether the connection answered lately. */
    get isListening() {
      return performance.now() - heardAt < limits.silentMs
    },

    async close() {
      isOpen = false
      clearInterval(timer)
      await replacing
      await bus.end({ timeout: 1 })
    }
  }

  async function listen() {
    const instance = postgres(url, {
      ...connection,
      max: 1,
      connection: { ...connection.connection, application_name: 'concord listen' }
    })
    await instance.listen('concord', hear, onListening)
    return instance
  }

  // postgres.js runs these inside its parser: a throw would surface in some other query.
  function hear(payload: string) {
    if (payload === alive) heardAt = performance.now()
    else if (payload === '') onBell()
  }

  function onListening() {
    heardAt = performance.now()
    onBell()
  }

  function beat() {
    ring(sql, alive).catch(() => {}) // a database that is away is told by the readers
    if (performance.now() - heardAt > limits.silentMs) {
      replacing ??= replace().finally(() => {
        replacing = undefined
      })
    }
  }

  async function replace() {
    log.warn('the LISTEN connection is silent: connecting anew')
    await bus.end({ timeout: 0 }).catch(() => {})
    while (isOpen) {
      try {
        bus = await listen()
        log.info('listening again')
        return
      } catch {
        await delay(limits.retryMs)
      }
    }
  }
}
