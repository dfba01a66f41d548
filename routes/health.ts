import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Liveness, Readiness } from '../schemas/health.ts'
import { ping } from '../sql/health.ts'

const limits = {
  /** A database slower than this is as good as none. */
  pingMs: 1000,
  retryAfterSeconds: 2
}

const docs = { tags: ['operations'] }

const routes: FastifyPluginAsyncTypebox = async app => {
  const { sql, pubsub } = app
  let isDraining = false
  let pinging: Promise<boolean> | undefined

  app.addHook('preClose', async () => {
    isDraining = true
  })

  app.route({
    method: 'GET',
    url: '/health/live',
    schema: {
      ...docs,
      summary: 'Check that the process is running',
      description: 'Checks nothing else. Restart the process when it does not respond.',
      response: { 200: Liveness }
    },
    handler: async () => ({ status: 'ok' as const })
  })

  app.route({
    method: 'GET',
    url: '/health/ready',
    schema: {
      ...docs,
      summary: 'Check that the service can serve requests',
      description:
        '503 while the database cannot be reached or the log cannot be read, and during a shutdown.',
      response: { 200: Readiness, 503: Readiness }
    },
    handler: async (_request, reply) => {
      const readiness = await look()
      if (readiness.status === 'ready') return readiness
      return reply.code(503).header('retry-after', limits.retryAfterSeconds).send(readiness)
    }
  })

  async function look(): Promise<Readiness> {
    const database = (await answersInTime()) ? 'up' : 'down'
    const { reading, listening, lag } = pubsub.health()
    const listener = !reading ? 'down' : listening ? 'up' : 'polling'
    const isReady = database === 'up' && reading
    const status = isDraining ? 'draining' : isReady ? 'ready' : 'unavailable'
    return { status, database, listener, lag }
  }

  function answersInTime(): Promise<boolean> {
    // One at a time: against a frozen database probes would take connection after connection.
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
