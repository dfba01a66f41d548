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
import { type Config, readConfig } from './lib/config.ts'
import { loggerOptions } from './lib/log.ts'
import { buildValidator, schemaErrorFormatter } from './lib/validation.ts'
import configuration, { type AppOptions } from './plugins/config.ts'
import { onClientError, sendError } from './plugins/http/errors.ts'
import { isLiveUpgrade } from './plugins/http/upgrade.ts'

/** The groups of `plugins/`, in the order in which they are registered: a plugin may use those of its own and of earlier groups. */
const groups = ['http', 'db', 'pubsub', 'auth', 'live', 'jobs']

/** The whole service as one plugin: the configuration, the groups of `plugins/`, then every file of `routes/`. */
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
    // With the default pattern, a folder with an index.ts would load nothing but that file.
    indexPattern: /^$/,
    forceESM: true
  })
}

export default app

const limits = {
  bodyBytes: 256 * 1024,
  /** To receive a whole request; a response, such as a stream, may take longer. */
  requestMs: 15_000,
  /** How often Node checks for requests that take too long; its default is 30 s. */
  checkMs: 5_000,
  /** Silence of a connection; streams and sockets send heartbeats more often. */
  silenceMs: 120_000
}

/** Returns the service before it listens. `env` replaces `process.env` and the file `.env`. */
export function build({ env }: { env?: NodeJS.ProcessEnv } = {}): FastifyInstance {
  const config = readConfig(env)
  const server = createServer(config)
  // Not encapsulated, so that the decorators are on the instance itself.
  server.register(fp(app), { config })
  return server
}

/** Returns a Fastify instance with the options of the service and without plugins. */
export function createServer(config: Config): FastifyInstance {
  const options: FastifyHttpOptions<Server> = {
    logger: loggerOptions(config.logLevel, process.stdout.isTTY),
    genReqId: () => randomUUID(),
    trustProxy: config.trustProxy,
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestMs,
    connectionTimeout: limits.silenceMs,
    http: {
      // Node allows a whole request the longer of this, whose default is 60 s, and requestTimeout.
      headersTimeout: limits.requestMs,
      connectionsCheckingInterval: limits.checkMs,
      shouldUpgradeCallback: isLiveUpgrade
    },
    // A database may take long to recover or to migrate.
    pluginTimeout: 0,
    // An EventSource stops for good after a 503, so requests are served until their connection closes.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    clientErrorHandler: onClientError,
    frameworkErrors: sendError,
    schemaController: { compilersFactory: { buildValidator } },
    schemaErrorFormatter
  }
  return Fastify(options)
}
