import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import packageJson from '../package.json' with { type: 'json' }
import { Liveness, Readiness } from '../schemas/health.ts'
import { ping } from '../sql/health.ts'

const limits = {
  /** A database that responds more slowly counts as down. */
  pingMs: 1000,
  retryAfterSeconds: 2
}

const docs = { tags: ['operations'] }

const routes: FastifyPluginAsyncTypebox = async app => {
  const { sql, pubsub, shutdown, primary } = app
  let pinging: Promise<boolean> | undefined
  primary?.handle('readiness', check)

  app.route({
    method: 'GET',
    url: '/health/live',
    schema: {
      ...docs,
      summary: 'Check that the process is running, and get the version of the service',
      description:
        'Does not check the database. Restart the process when this route does not respond.',
      response: { 200: Liveness }
    },
    handler: async () => ({ status: 'ok' as const, version: packageJson.version })
  })

  app.route({
    method: 'GET',
    url: '/health/ready',
    schema: {
      ...docs,
      summary: 'Check that the service can serve requests',
      description:
        'Returns 503 while the database cannot be reached or the log cannot be read, while a worker is missing, and ' +
        'during a shutdown.',
      response: { 200: Readiness, 503: Readiness }
    },
    handler: async (_request, reply) => {
      const readiness = primary
        ? await primary.call<Readiness>('readiness').catch(notReady)
        : await check()
      if (readiness.status === 'ready') return readiness
      return reply.code(503).header('retry-after', limits.retryAfterSeconds).send(readiness)
    }
  })

  async function check(): Promise<Readiness> {
    const database = (await respondsInTime()) ? 'up' : 'down'
    const { reading, listening, lag } = pubsub.health()
    const listener = !reading ? 'down' : listening ? 'up' : 'polling'
    const isReady = database === 'up' && reading
    const status = shutdown.isClosing ? 'draining' : isReady ? 'ready' : 'unavailable'
    return { status, database, listener, lag }
  }

  async function notReady(): Promise<Readiness> {
    return { ...(await check()), status: 'unavailable' }
  }

  function respondsInTime(): Promise<boolean> {
    // Run one query at a time. Otherwise, while the database hangs, the probes would use up the connections.
    pinging ??= ping(sql)
      .then(() => true)
      .catch(() => false)
      .finally(() => {
        pinging = undefined
      })
    return Promise.race([pinging, delay(limits.pingMs, false, { ref: false })])
  }
}

export default routes
