import './lib/requirements.js'
import closeWithGrace from 'close-with-grace'
import type { FastifyInstance } from 'fastify'
import { build } from './app.ts'
import { startFailure } from './lib/start-failure.ts'

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

const limits = {
  /** Requests under way end after 5 s, PostgreSQL then needs a moment to stop. */
  closeMs: 15_000,
  /** Of one Ctrl-C under `npm start` both the terminal and npm send a SIGINT. */
  samePressMs: 100
}

let app: FastifyInstance | undefined
try {
  app = build()
  const options = { delay: limits.closeMs, logger: app.log, skip: [...SIGNALS] }
  onSignal(closeWithGrace(options, onEnd).close)
  await app.ready()
  const { port, host } = app.config
  greet(await app.listen({ port, host }), app.database.psql)
} catch (error) {
  process.stderr.write(`Concord does not start: ${startFailure(error)}\n`)
  await app?.close().catch(() => {})
  process.exit(1)
}

/** The first signal drains, the second exits at once. */
function onSignal(close: () => unknown) {
  let first = 0
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      const isEcho = signal === 'SIGINT' && Date.now() - first < limits.samePressMs
      if (first > 0 && !isEcho) process.exit(1)
      if (first === 0) close()
      first ||= Date.now()
    })
  }
}

async function onEnd({ err }: { err?: Error }) {
  if (err) app?.log.fatal({ err }, 'closing after an error that nobody caught')
  await app?.close()
}

function greet(address: string, psql: string) {
  process.stdout.write(
    [`Concord   ${address}`, `API docs  ${address}/docs`, `Database  ${psql}`, ''].join('\n')
  )
}
