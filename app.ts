import { randomUUID } from 'node:crypto'
import type { Server } from 'node:http'
import { join } from 'node:path'
import autoload from '@fastify/autoload'
import Fastify, {
  type FastifyHttpOptions,
  type FastifyInstance,
  type FastifyPluginAsync
} from 'fastify'
import fp from 'fastify-plugin'
import { loggerOptions } from './lib/log.ts'
import { buildValidator, schemaErrorFormatter } from './lib/validation.ts'
import configuration, { type Config, readConfig } from './plugins/config.ts'
import { answerError, onClientError } from './plugins/http/errors.ts'
import { isLiveUpgrade } from './plugins/http/upgrade.ts'

/** What the application is told from outside. */
export interface AppOptions {
  config: Config
}

/** The groups of plugins, in the order in which they are registered: each may depend on those before it. */
const groups = ['http', 'db', 'pubsub', 'auth', 'live', 'jobs']

/** The whole service as one plugin: every group of `plugins/`, then every file of `routes/`. */
const app: FastifyPluginAsync<AppOptions> = async (app, options) => {
  await app.register(configuration, options)
  for (const group of groups) {
    await app.register(autoload, {
      dir: join(import.meta.dirname, 'plugins', group),
      encapsulate: false,
      forceESM: true
    })
  }
  await app.register(autoload, {
    dir: join(import.meta.dirname, 'routes'),
    routeParams: true,
    // Else a folder with an index.ts would load nothing but that file.
    indexPattern: /^$/,
    forceESM: true
  })
}

export default app

const limits = {
  bodyBytes: 256 * 1024,
  /** To send a whole request; an answer, such as a stream, may take as long as it likes. */
  requestMs: 15_000,
  /** How often Node looks for requests that take too long; its default is 30 s. */
  checkMs: 5_000,
  /** Silence of a socket; streams have a heartbeat well below. */
  silenceMs: 120_000
}

/** The service before it listens. `env` stands for `process.env` and `.env` when given. */
export function build({ env }: { env?: NodeJS.ProcessEnv } = {}): FastifyInstance {
  const config = readConfig(env)
  const server = bare(config)
  // Not encapsulated: the decorators are the instance's own.
  server.register(fp(app), { config })
  return server
}

/** A Fastify instance with the options of this service and nothing registered. */
export function bare(config: Config): FastifyInstance {
  const options: FastifyHttpOptions<Server> = {
    logger: loggerOptions(config.logLevel),
    genReqId: () => randomUUID(),
    trustProxy: config.trustProxy,
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestMs,
    connectionTimeout: limits.silenceMs,
    // Node gives the whole request the longer of the two, and this one is 60 s by default.
    http: {
      headersTimeout: limits.requestMs,
      connectionsCheckingInterval: limits.checkMs,
      shouldUpgradeCallback: isLiveUpgrade
    },
    // A database may take its time to recover or to migrate.
    pluginTimeout: 0,
    // An EventSource that is answered 503 is dead for good: what still comes in is still served.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    clientErrorHandler: onClientError,
    frameworkErrors: answerError,
    schemaController: { compilersFactory: { buildValidator } },
    schemaErrorFormatter
  }
  return Fastify(options)
}
