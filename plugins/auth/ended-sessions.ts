import fp from 'fastify-plugin'
import { CLOCK_SKEW_SECONDS } from '../../lib/clock.ts'
import { every } from '../../lib/every.ts'
import { recentlyEnded } from '../../sql/sessions.ts'

declare module 'fastify' {
  interface FastifyInstance {
    sessions: {
      /** Returns whether a session has ended, for as long as an access token of it may be accepted. */
      isEnded(id: string): boolean
      /** Marks sessions as ended on this node at once, before their events come back through the log. */
      end(...ids: string[]): void
    }
  }
}

const limits = {
  // While the log cannot be read. With a heartbeat, at which streams and sockets look, it is within a minute.
  askMs: 20_000
}

/** Knows which sessions have ended on any node, so that no request has to query the database. */
export default fp(
  async app => {
    const { sql, pubsub, config, log } = app
    // The node that signed an access token may be ahead of this one, and so accepted for longer.
    const tokenLifeSeconds = config.accessTokenTtl + CLOCK_SKEW_SECONDS
    const ended = endedSessions(tokenLifeSeconds * 1000)

    // First the live end of the log, then its past: what is in both does no harm.
    const unsubscribe = pubsub.subscribe('sessions', {
      receive({ after }) {
        const { sessionId, reason } = JSON.parse(after ?? '{}')
        // The tokens of a session that expired have expired before it.
        if (reason !== 'expired') ended.end(sessionId)
      },
      reset: () => void load().catch(err => log.error({ err }, 'cannot read ended sessions'))
    })
    app.addHook('onClose', async () => unsubscribe())
    await load()
    const stop = every(limits.askMs, ask)
    app.addHook('onClose', stop)

    app.decorate('sessions', ended)

    async function ask() {
      if (!pubsub.health().reading) await load().catch(() => {}) // the readers log it
    }

    async function load() {
      ended.end(...(await recentlyEnded(sql, tokenLifeSeconds)))
    }
  },
  { name: 'ended-sessions', dependencies: ['config', 'pools', 'pubsub'] }
)

function endedSessions(tokenLifeMs: number) {
  // In the order in which they ended. Bounded, because argon2 bounds how many sessions begin: some tens a second.
  const endedAt = new Map<string, number>()

  function forgetOld(now: number): void {
    for (const [id, at] of endedAt) {
      if (now - at < tokenLifeMs) break
      endedAt.delete(id)
    }
  }

  return {
    isEnded: (id: string): boolean => endedAt.has(id),

    end(...ids: string[]): void {
      const now = Date.now()
      forgetOld(now)
      for (const id of ids) if (!endedAt.has(id)) endedAt.set(id, now)
    }
  }
}
