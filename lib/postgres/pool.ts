import type { FastifyBaseLogger } from 'fastify'
import type { Sql } from 'postgres'
import { withTimeout } from '../with-timeout.ts'

const limits = {
  probeMs: 5000,
  // longer than the timeout of any statement
  silentMs: 20_000
}

/**
 * Returns a proxy of the pool that `open` makes. Replaces the pool when the server does not respond for 20 s: TCP would
 * block its connections for about 15 minutes. Pending queries reject with CONNECTION_DESTROYED.
 */
export function createPool<Types extends Record<string, unknown>>(
  open: () => Sql<Types>,
  log: FastifyBaseLogger
): Sql<Types> {
  let pool = open()
  let isProbing = false
  const timer = setInterval(probe, limits.probeMs)

  return new Proxy(pool, {
    apply: (_, __, args) => Reflect.apply(pool, undefined, args),
    get: (_, name) => (name === 'end' ? end : Reflect.get(pool, name))
  })

  async function probe() {
    if (isProbing) return
    isProbing = true
    const responded = pool`select 1`.catch(() => {}) // an error also shows that the server responds
    await withTimeout(responded, limits.silentMs).catch(replace)
    isProbing = false
  }

  async function replace() {
    log.error('database did not respond for 20 s: reconnecting')
    const silent = pool
    pool = open()
    await silent.end({ timeout: 0 })
  }

  function end(options?: { timeout?: number }) {
    clearInterval(timer)
    return pool.end(options)
  }
}
