import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { LRUCache } from 'lru-cache'
import type { Me } from '../../schemas/user.ts'
import { findUser } from '../../sql/users.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The users in memory. The log keeps them true: after a change on another node, the user is read again. */
    users: {
      /** Returns undefined for a deleted user, whose sessions have ended. */
      find(id: string): Promise<Me | undefined>
      /** Must be called after a change, so that this node returns it before its event comes back through the log. */
      forget(id: string): void
    }
  }
}

// A name has at most 200 characters, so the users need 10 MB at most.
const limits = { users: 10_000 }

async function users(app: FastifyInstance) {
  const { sql, pubsub } = app
  const known = new LRUCache<string, Me>({ max: limits.users })
  /** The queries that are running, by user. A query that began before a change must not store its result. */
  const queries = new Map<string, Promise<Me | undefined>>()

  const unsubscribe = pubsub.subscribe('users', {
    receive(events) {
      for (const { userId } of events) forget(userId ?? '')
    },
    reset() {
      known.clear()
      queries.clear()
    }
  })
  app.addHook('onClose', unsubscribe)

  app.decorate('users', {
    async find(id) {
      if (!pubsub.isCurrent) return findUser(sql, id)
      return known.get(id) ?? queries.get(id) ?? query(id)
    },
    forget
  })

  function forget(id: string) {
    known.delete(id)
    queries.delete(id)
  }

  async function query(id: string) {
    const querying = findUser(sql, id)
    queries.set(id, querying)
    try {
      const user = await querying
      if (user && queries.get(id) === querying) known.set(id, user)
      return user
    } finally {
      if (queries.get(id) === querying) queries.delete(id)
    }
  }
}

export default fp(users, { name: 'users', dependencies: ['pools', 'pubsub'] })
