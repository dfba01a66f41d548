import fp from 'fastify-plugin'
import { TooBusy } from '../lib/errors.ts'
import { boundedQueue } from '../lib/queue.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Runs what reads the past of a stream or a list, a few at a time: when thousands come back at once,
     * requests still find a connection. Throws TooBusy when too many wait.
     */
    readPast: ReturnType<typeof boundedQueue>
  }
}

// Half the connections of the pool.
const limits = { running: 4, waiting: 10_000 }

export default fp(
  async app => {
    app.decorate(
      'readPast',
      boundedQueue(limits, () => new TooBusy())
    )
  },
  { name: 'past' }
)
