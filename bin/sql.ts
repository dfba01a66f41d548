import postgres from 'postgres'
import { readConfig } from '../lib/config.ts'
import { findRunningUrl } from '../lib/embedded-postgres/server.ts'
import { startFailure } from '../lib/start-failure.ts'

/*
 * Runs a SQL statement on the database of the running service, for machines without psql. For the embedded database,
 * the user must be able to read the password in DATA_DIR.
 *
 * npm run sql -- "<statement>"
 */
try {
  const [text] = process.argv.slice(2)
  if (!text) throw new Error('npm run sql -- "select * from checklists"')
  await run(text)
} catch (error) {
  process.stderr.write(`${startFailure(error)}\n`)
  process.exitCode = 1
}

async function run(text: string) {
  const { databaseUrl, dataDir } = readConfig()
  const url = databaseUrl ?? (await findRunningUrl(dataDir))
  if (!url) throw new Error(`no database runs in ${dataDir}: npm start starts one`)
  const sql = postgres(url, { max: 1, connection: { application_name: 'concord sql' } })
  try {
    print(await sql.unsafe(text))
  } finally {
    await sql.end()
  }
}

function print(result: postgres.RowList<postgres.Row[]>) {
  if (result.length > 0) console.table([...result])
  else process.stdout.write(`${result.command} ${result.count ?? ''}\n`)
}
