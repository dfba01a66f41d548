import fp from 'fastify-plugin'
import { recentlyEnded } from '../sql/sessions.ts'

declare module 'fastify' {
  interface FastifyInstance {
    sessions: {
      /** Whether a session has ended, for as long as access tokens of it may be in time. */
      isEnded(id: string): boolean
      /** What this node has just written it need not wait to read in the log. */
      end(...ids: string[]): void
    }
  }
}

const limits = {
  // While the log cannot be read. With a heartbeat, at which streams and sockets look, it is within a minute.
  askMs: 20_000
}

/** Which sessions have ended on any node, so that no request has to ask the database. */
export default fp(
  async app => {
    const { sql, pubsub, wheel, config, log } = app
    const ended = endedSessions(config.accessTokenTtl * 1000)

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
    wheel.after(limits.askMs, ask)

    app.decorate('sessions', ended)

    async function ask() {
      if (!pubsub.health().reading) await load().catch(() => {}) // the readers tell of it
      wheel.after(limits.askMs, ask)
    }

    async function load() {
      ended.end(...(await recentlyEnded(sql, config.accessTokenTtl)))
    }
  },
  { name: 'sessions', dependencies: ['config', 'db', 'pubsub', 'wheel'] }
)

function endedSessions(tokenLifeMs: number) {
  // The first is always the first to go. Sessions are made at the pace of argon2, some tens a
  // second, and that bounds this.
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
