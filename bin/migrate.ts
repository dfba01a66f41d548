import postgres from 'postgres'
import { readConfig } from '../lib/config.ts'
import { startPostgres } from '../lib/embedded-postgres/server.ts'
import { connectionOptions } from '../lib/postgres/connection.ts'
import { startFailure } from '../lib/start-failure.ts'
import { migrate } from '../sql/migrate.ts'

/*
 * Applies the migrations without starting the service, for deployments that migrate before the start.
 *
 * npm run migrate
 */
try {
  const { databaseUrl, dataDir } = readConfig()
  const embedded = databaseUrl ? undefined : await startPostgres(dataDir)
  const sql = postgres(databaseUrl ?? embedded?.url ?? '', { ...connectionOptions(), max: 1 })
  try {
    const applied = await migrate(sql)
    for (const name of applied) process.stdout.write(`applied ${name}\n`)
    if (applied.length === 0) process.stdout.write('nothing to apply\n')
  } finally {
    await sql.end()
    await embedded?.stop()
  }
} catch (error) {
  process.stderr.write(`Concord does not migrate: ${startFailure(error)}\n`)
  process.exitCode = 1
}
