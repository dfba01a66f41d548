import type { FastifyInstance } from 'fastify'
import postgres from 'postgres'
import { bare } from '../app.ts'
import { startFailure } from '../lib/start-failure.ts'
import configuration, { readConfig } from '../plugins/config.ts'
import embedded from '../plugins/db/database.ts'
import { connection } from '../plugins/db/pools.ts'
import { migrate } from '../sql/migrate.ts'

let app: FastifyInstance | undefined
try {
  const config = readConfig()
  app = bare(config)
  await app.register(configuration, { config })
  await app.register(embedded)
  const applied = await migrated(app.database.url)
  for (const name of applied) process.stdout.write(`applied ${name}\n`)
  if (applied.length === 0) process.stdout.write('nothing to apply\n')
} catch (error) {
  process.stderr.write(`Concord does not migrate: ${startFailure(error)}\n`)
  process.exitCode = 1
} finally {
  await app?.close()
}

async function migrated(url: string): Promise<string[]> {
  const sql = postgres(url, { ...connection, max: 1 })
  try {
    return await migrate(sql)
  } finally {
    await sql.end()
  }
}
