import fp from 'fastify-plugin'
import { createWheel, type Wheel } from '../lib/wheel.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The one timer of all connections. */
    wheel: Wheel
  }
}

export default fp(
  async app => {
    const wheel = createWheel()
    app.decorate('wheel', wheel)
    app.addHook('onClose', async () => wheel.stop())
  },
  { name: 'wheel' }
)
