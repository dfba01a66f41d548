import closeWithGrace from 'close-with-grace'
import type { FastifyInstance } from 'fastify'
import { build } from './app.ts'
import { startFailure } from './lib/start-failure.ts'

/** Requests under way end after 5 s, PostgreSQL then needs a moment to stop. */
const CLOSE_MS = 15_000

let app: FastifyInstance | undefined
try {
  app = build()
  closeWithGrace({ delay: CLOSE_MS, logger: app.log }, onEnd)
  await app.ready()
  const { port, host } = app.config
  greet(await app.listen({ port, host }), app.database.psql)
} catch (error) {
  process.stderr.write(`Concord does not start: ${startFailure(error)}\n`)
  await app?.close().catch(() => {})
  process.exit(1)
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
