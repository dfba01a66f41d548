import postgres from 'postgres'
import { runningUrl } from '../lib/embedded-postgres/server.ts'
import { startFailure } from '../lib/start-failure.ts'
import { readConfig } from '../plugins/config.ts'

/*
 * psql for machines without it: runs SQL on the database of the running service, as whoever has its files.
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
  const url = databaseUrl ?? (await runningUrl(dataDir))
  if (!url) throw new Error(`no database runs in ${dataDir}: npm start starts one`)
  const sql = postgres(url, { max: 1, connection: { application_name: 'concord sql' } })
  try {
    show(await sql.unsafe(text))
  } finally {
    await sql.end()
  }
}

function show(result: postgres.RowList<postgres.Row[]>) {
  if (result.length > 0) console.table([...result])
  else process.stdout.write(`${result.command} ${result.count ?? ''}\n`)
}
