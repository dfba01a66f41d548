import './lib/requirements.js'
import cluster from 'node:cluster'
import closeWithGrace from 'close-with-grace'
import type { FastifyInstance } from 'fastify'
import { build, buildPrimary } from './app.ts'
import { createChannel } from './lib/channel.ts'
import { type Config, readConfig } from './lib/config.ts'
import { startFailure } from './lib/start-failure.ts'
import { shutdownLimits } from './plugins/http/shutdown.ts'
import { respondToPings } from './plugins/workers/heartbeat.ts'

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/**
 * A SIGINT within this time after the first one belongs to the same Ctrl-C. Under `npm start`, both the terminal and
 * npm send a SIGINT for one Ctrl-C.
 */
const SAME_KEY_MS = 100

// With WORKERS above 1, the first process is the primary, which runs this script once more for each worker. When the
// primary ends, node:cluster ends its workers.
const primary = cluster.isWorker ? createChannel(process) : undefined
let app: FastifyInstance | undefined
try {
  if (primary) {
    respondToPings(primary, onFrozenPrimary)
    primary.handle('close', () => process.exit(0))
  }
  const config = await (primary ? primary.call<Config>('config') : readConfig())
  app = config.workers > 1 && !primary ? buildPrimary(config) : build({ config, primary })
  const options = { delay: shutdownLimits.processMs, logger: app.log, skip: [...SIGNALS] }
  const grace = closeWithGrace(options, onClose)
  // A worker may receive a signal and the message of the primary: a second call must not end the first one early.
  let isClosing = false
  const close = () => {
    if (!isClosing) grace.close()
    isClosing = true
  }
  onSignal(close)
  primary?.handle('close', close)
  await app.ready()
  const { port, host } = app.config
  const address = await (app.workers?.start() ?? app.listen({ port, host }))
  if (primary) primary.notify('ready', address)
  else printAddresses(address, app.database.psql)
  app.workers?.failed.catch(error => end('ends', error))
} catch (error) {
  await end('does not start', error)
}

/** The first signal closes the service. The second one ends the process. */
function onSignal(close: () => unknown) {
  let first = 0
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      const isSameKey = signal === 'SIGINT' && Date.now() - first < SAME_KEY_MS
      if (first > 0 && !isSameKey) process.exit(1)
      if (first === 0) close()
      first ||= Date.now()
    })
  }
}

/** Ends a worker, because it receives no events. Its clients reconnect, and may reach another node. */
function onFrozenPrimary() {
  app?.log.fatal('no ping from the primary for 10 s: exiting')
  process.exit(1)
}

async function onClose({ err }: { err?: Error }) {
  if (err) app?.log.fatal({ err }, 'closing: uncaught error')
  await app?.close()
}

/** Closes the service after a failure. A worker sends the cause to the primary, which prints it. */
async function end(what: string, error: unknown) {
  const cause = startFailure(error)
  if (primary) await primary.call('failed', cause).catch(() => {})
  else process.stderr.write(`Concord ${what}: ${cause}\n`)
  await app?.close().catch(() => {})
  process.exit(1)
}

function printAddresses(address: string, psql: string) {
  process.stdout.write(
    [`Concord   ${address}`, `API docs  ${address}/docs`, `Database  ${psql}`, ''].join('\n')
  )
}
