import type { FastifyBaseLogger } from 'fastify'
import type { Sql } from '../../sql/executor.ts'
import { withTimeout } from '../with-timeout.ts'

const limits = {
  lookMs: 5000,
  // Longer than any statement may take.
  silentMs: 20_000
}

/**
 * The pool that `open` makes, and makes anew when the server says nothing any more: one that hangs, or went
 * without a word as in a fail-over, would keep every connection, and whoever waits for one, until TCP gives
 * up after a quarter of an hour. Who waits is answered with CONNECTION_DESTROYED.
 */
export function createPool(open: () => Sql, log: FastifyBaseLogger): Sql {
  let pool = open()
  let isLooking = false
  const timer = setInterval(look, limits.lookMs)

  return new Proxy(pool, {
    apply: (_, __, args) => Reflect.apply(pool, undefined, args),
    get: (_, name) => (name === 'end' ? end : Reflect.get(pool, name))
  })

  async function look() {
    if (isLooking) return
    isLooking = true
    const answered = pool`select 1`.catch(() => {}) // an error is an answer, too
    await withTimeout(answered, limits.silentMs).catch(renew)
    isLooking = false
  }

  async function renew() {
    log.error('the database does not answer: connecting anew')
    const silent = pool
    pool = open()
    await silent.end({ timeout: 0 })
  }

  function end(options?: { timeout?: number }) {
    clearInterval(timer)
    return pool.end(options)
  }
}
