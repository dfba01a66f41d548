import { join } from 'node:path'
import autoload from '@fastify/autoload'
import Fastify, { type FastifyPluginAsync } from 'fastify'

/** What the application can be told; everything else comes from the environment. */
export interface AppOptions {
  /** Environment to read the configuration from; `process.env` (and `.env`) when absent. */
  env?: NodeJS.ProcessEnv
}

/** The whole service as one plugin: every file of `plugins/`, then every file of `routes/`. */
const app: FastifyPluginAsync<AppOptions> = async (app, options) => {
  await app.register(autoload, {
    dir: join(import.meta.dirname, 'plugins'),
    encapsulate: false,
    forceESM: true,
    options
  })
  await app.register(autoload, {
    dir: join(import.meta.dirname, 'routes'),
    routeParams: true,
    forceESM: true
  })
}

export default app
