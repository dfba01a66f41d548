import type { FastifyBaseLogger } from 'fastify'
import type { Sql } from 'postgres'
import { every } from '../every.ts'
import { withTimeout } from '../with-timeout.ts'

const limits = {
  probeMs: 5000,
  // longer than the timeout of any statement
  silentMs: 20_000
}

/**
 * Returns a proxy of the pool that `open` makes. Replaces the pool when the server does not respond for 20 s: TCP would
 * block its connections for about 15 minutes. Pending queries reject with CONNECTION_DESTROYED. Calls `onProbe` every 5 s
 * with the seconds that `select 1` took.
 */
export function createPool<Types extends Record<string, unknown>>(
  open: () => Sql<Types>,
  log: FastifyBaseLogger,
  onProbe: (seconds: number) => void
): Sql<Types> {
  let pool = open()
  const stopProbes = every(limits.probeMs, probe)

  return new Proxy(pool, {
    apply: (_, __, args) => Reflect.apply(pool, undefined, args),
    get: (_, name) => (name === 'end' ? end : Reflect.get(pool, name))
  })

  async function probe() {
    const responded = pool`select 1`.catch(() => {}) // an error also shows that the server responds
    const start = performance.now()
    await withTimeout(responded, limits.silentMs).catch(replace)
    onProbe((performance.now() - start) / 1000)
  }

  async function replace() {
    log.error('database did not respond for 20 s: reconnecting')
    const silent = pool
    pool = open()
    await silent.end({ timeout: 0 })
  }

  function end(options?: { timeout?: number }) {
    void stopProbes() // not awaited: a probe of a silent server takes 20 s
    return pool.end(options)
  }
}
