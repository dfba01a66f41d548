import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { CLOCK_SKEW_SECONDS } from '../../lib/clock.ts'
import { endedSessionOf } from '../../lib/event.ts'
import { every } from '../../lib/every.ts'
import { findEndedSessions } from '../../sql/sessions.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The ids of sessions that ended on any node. They are in memory, so that no request has to query the database. */
    endedSessions: {
      /** Returns whether a session has ended. Its id is stored at least until all its access tokens have expired. */
      has(id: string): boolean
      /** Marks sessions as ended on this node at once, before their event comes back through the log. */
      add(...ids: string[]): void
    }
  }
}

const limits = {
  // Interval while the log cannot be read. Streams and sockets check at each heartbeat and so close within a minute.
  pollMs: 20_000
}

async function endedSessions(app: FastifyInstance) {
  const { sql, pubsub, config, log } = app
  // This node accepts a token for longer when the clock of the node that signed it is ahead.
  const tokenLifeSeconds = config.accessTokenTtl + CLOCK_SKEW_SECONDS
  const ended = createEndedSessions(tokenLifeSeconds * 1000)

  // Subscribe before the query, so that no session that ends in between is missed.
  const unsubscribe = pubsub.subscribe('sessions', {
    receive(events) {
      for (const { sessionId, reason } of events.map(endedSessionOf)) {
        // The access tokens of a session expire no later than the session itself.
        if (reason !== 'expired') ended.add(sessionId)
      }
    },
    reset: () => void load().catch(err => log.error({ err }, 'cannot query ended sessions'))
  })
  const stop = every(limits.pollMs, async () => {
    if (!pubsub.health().reading) await load().catch(() => {}) // the pubsub plugin logs the outage
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

// The ids need no limit: a new session needs a password hash, and a node computes only some tens of hashes per second.
function createEndedSessions(tokenLifeMs: number) {
  // time at which each session was added, by id, the oldest first
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
