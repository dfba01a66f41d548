import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../lib/config.ts'

declare module 'fastify' {
  interface FastifyInstance {
    config: Config
  }
}

/** The options of the application. */
export interface AppOptions {
  config: Config
}

async function configuration(app: FastifyInstance, { config }: AppOptions) {
  app.decorate('config', config)
}

export default fp(configuration, { name: 'config' })
