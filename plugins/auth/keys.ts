import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { createKeys, type Keys } from '../../lib/keys.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The keys of all tokens, derived from JWT_SECRET, or from a secret that the first start creates in DATA_DIR. */
    keys: Keys
  }
}

async function keys(app: FastifyInstance) {
  app.decorate('keys', createKeys(app.config))
}

export default fp(keys, { name: 'keys', dependencies: ['config'] })
