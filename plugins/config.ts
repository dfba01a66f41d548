import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { ProcessChannel } from '../lib/channel.ts'
import type { Config } from '../lib/config.ts'

declare module 'fastify' {
  interface FastifyInstance {
    config: Config
    /** The channel to the primary, in a worker of a node. Undefined in a process that is a node of its own. */
    primary: ProcessChannel | undefined
  }
}

/** The options of the application. */
export interface AppOptions {
  config: Config
  primary?: ProcessChannel
}

async function configuration(app: FastifyInstance, { config, primary }: AppOptions) {
  app.decorate('config', config)
  app.decorate('primary', primary)
}

export default fp(configuration, { name: 'config' })
