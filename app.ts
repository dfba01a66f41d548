import { randomUUID } from 'node:crypto'
import { readdir } from 'node:fs/promises'
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
import { buildSerializer } from './lib/serialization.ts'
import { buildValidator, schemaErrorFormatter } from './lib/validation.ts'
import keys from './plugins/auth/keys.ts'
import configuration, { type AppOptions } from './plugins/config.ts'
import database from './plugins/db/database.ts'
import pools from './plugins/db/pools.ts'
import embeddedPostgres from './plugins/embedded-postgres.ts'
import { onClientError, sendError } from './plugins/http/errors.ts'
import metrics from './plugins/http/metrics.ts'
import shutdown from './plugins/http/shutdown.ts'
import { isLiveUpgrade } from './plugins/http/upgrade.ts'
import tracing from './plugins/tracing.ts'
import workers from './plugins/workers/workers.ts'

/**
 * The groups of plugins, one for each folder of `plugins/`, in the order of registration. A plugin may use plugins of
 * its own group and of earlier groups.
 */
const groups = ['http', 'db', 'pubsub', 'auth', 'live', 'jobs']

/**
 * The whole service as one plugin. Registers the configuration and tracing, starts the embedded PostgreSQL, then registers
 * the groups of plugins, then every file of `routes/`.
 */
const app: FastifyPluginAsync<AppOptions> = async (app, options) => {
  await app.register(configuration, options)
  await app.register(tracing)
  await app.register(embeddedPostgres)
  await loadModules()
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
    // With the default pattern, autoload would load only the index.ts of a folder that has one.
    indexPattern: /^$/,
    forceESM: true
  })
}

export default app

/**
 * Loads the modules of all plugins and routes. autoload would load those of a group only when the groups before it are
 * ready, among them the database.
 */
export async function loadModules(): Promise<void> {
  const folders = ['plugins', 'routes'].map(name => join(import.meta.dirname, name))
  for (const folder of folders) {
    const files = await readdir(folder, { recursive: true })
    const modules = files.filter(file => file.endsWith('.ts'))
    await Promise.all(modules.map(file => import(join(folder, file))))
  }
}

const limits = {
  bodyBytes: 256 * 1024,
  /** Maximum time to receive a whole request. A response, such as a stream, may take longer. */
  requestMs: 15_000,
  /** Interval at which Node checks for requests that take too long. Node's default is 30 s. */
  checkMs: 5_000,
  /** A connection without traffic for this long is closed. Streams and sockets send heartbeats more often. */
  silenceMs: 120_000
}

/** The plugins of the primary of a node with several workers. The primary serves no request. */
const primaryPlugins = [
  configuration,
  tracing,
  embeddedPostgres,
  metrics,
  shutdown,
  database,
  pools,
  keys,
  workers
]

/**
 * Creates the service, which does not listen yet. `env` replaces `process.env` and the file `.env`. `primary` is the
 * channel to the primary, for a worker.
 */
export function build({
  env,
  config = readConfig(env),
  primary
}: { env?: NodeJS.ProcessEnv } & Partial<AppOptions> = {}): FastifyInstance {
  const server = createServer(config)
  // `fp` turns encapsulation off, so that the returned instance has the decorators.
  server.register(fp(app), { config, primary })
  return server
}

/** Creates the primary of a node with several workers, which have not started yet. */
export function buildPrimary(config: Config): FastifyInstance {
  const server = createServer(config)
  for (const plugin of primaryPlugins) server.register(plugin, { config })
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
      // Node limits a whole request by the longer of headersTimeout and requestTimeout. The default of headersTimeout
      // is 60 s.
      headersTimeout: limits.requestMs,
      connectionsCheckingInterval: limits.checkMs,
      shouldUpgradeCallback: isLiveUpgrade
    },
    // No limit, because the database may take long to recover or to migrate.
    pluginTimeout: 0,
    // Serve requests until their connection closes: an EventSource that receives a 503 never reconnects.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    clientErrorHandler: onClientError,
    frameworkErrors: sendError,
    schemaController: { compilersFactory: { buildValidator, buildSerializer } },
    schemaErrorFormatter
  }
  return Fastify(options)
}
