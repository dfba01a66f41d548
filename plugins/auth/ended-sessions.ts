import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { CLOCK_SKEW_SECONDS } from '../../lib/clock.ts'
import { every } from '../../lib/every.ts'
import { findEndedSessions } from '../../sql/sessions.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The sessions that ended on any node, so that no request has to query the database. */
    endedSessions: {
      /** Returns whether a session has ended, for as long as an access token of it may be accepted. */
      has(id: string): boolean
      /** Marks sessions as ended on this node at once, before their event comes back through the log. */
      add(...ids: string[]): void
    }
  }
}

const limits = {
  // Pace of the queries while the log cannot be read. Streams and sockets check at their next heartbeat, so that a
  // session ends on them within a minute all the same.
  pollMs: 20_000
}

async function endedSessions(app: FastifyInstance) {
  const { sql, pubsub, config, log } = app
  // The node that signed an access token may be ahead of this one, so that the token is accepted for longer.
  const tokenLifeSeconds = config.accessTokenTtl + CLOCK_SKEW_SECONDS
  const ended = createEndedSessions(tokenLifeSeconds * 1000)

  // Subscribe before the query: a session that ends in between is in both.
  const unsubscribe = pubsub.subscribe('sessions', {
    receive({ after }) {
      const { sessionId, reason } = JSON.parse(after ?? '{}')
      // The access tokens of an expired session have expired before it.
      if (reason !== 'expired') ended.add(sessionId)
    },
    reset: () => void load().catch(err => log.error({ err }, 'cannot query ended sessions'))
  })
  const stop = every(limits.pollMs, async () => {
    if (!pubsub.health().reading) await load().catch(() => {}) // pubsub logs the outage
  })
  app.addHook('onClose', async () => {
    unsubscribe()
    await stop()
  })
  await load()

  app.decorate('endedSessions', ended)

  async function load() {
    ended.add(...(await findEndedSessions(sql, tokenLifeSeconds)))
  }
}

/** Stores the ids of ended sessions for `tokenLifeMs`. The limit of password hashes bounds them: sessions begin at some tens a second. */
function createEndedSessions(tokenLifeMs: number) {
  // in the order in which they ended
  const endedAt = new Map<string, number>()

  return {
    has: (id: string): boolean => endedAt.has(id),

    add(...ids: string[]): void {
      const now = Date.now()
      deleteOld(now)
      for (const id of ids) if (!endedAt.has(id)) endedAt.set(id, now)
    }
  }

  function deleteOld(now: number): void {
    for (const [id, at] of endedAt) {
      if (now - at < tokenLifeMs) break
      endedAt.delete(id)
    }
  }
}

export default fp(endedSessions, {
  name: 'ended-sessions',
  dependencies: ['config', 'pools', 'pubsub']
})
