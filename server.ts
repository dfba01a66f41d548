import './lib/requirements.js'
import closeWithGrace from 'close-with-grace'
import type { FastifyInstance } from 'fastify'
import { build } from './app.ts'
import { startFailure } from './lib/start-failure.ts'
import { shutdownLimits } from './plugins/http/shutdown.ts'

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/**
 * A SIGINT within this time after the first one belongs to the same Ctrl-C. Under `npm start`, both the terminal and
 * npm send a SIGINT for one Ctrl-C.
 */
const SAME_KEY_MS = 100

let app: FastifyInstance | undefined
try {
  app = build()
  const options = { delay: shutdownLimits.processMs, logger: app.log, skip: [...SIGNALS] }
  onSignal(closeWithGrace(options, onClose).close)
  await app.ready()
  const { port, host } = app.config
  printAddresses(await app.listen({ port, host }), app.database.psql)
} catch (error) {
  process.stderr.write(`Concord does not start: ${startFailure(error)}\n`)
  await app?.close().catch(() => {})
  process.exit(1)
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

async function onClose({ err }: { err?: Error }) {
  if (err) app?.log.fatal({ err }, 'closing: uncaught error')
  await app?.close()
}

function printAddresses(address: string, psql: string) {
  process.stdout.write(
    [`Concord   ${address}`, `API docs  ${address}/docs`, `Database  ${psql}`, ''].join('\n')
  )
}
