import { mkdir, writeFile } from 'node:fs/promises'
import postgres from 'postgres'
import { startPostgres } from '../../lib/embedded-postgres/server.ts'
import { migrate } from '../../sql/migrate.ts'
import { removeAbandoned, runFolder, TEMPLATE, urlFile } from './cluster.ts'

await removeAbandoned()
// Sets the mode, because the user postgres must be able to enter the folder with any umask.
await mkdir(runFolder, { mode: 0o755 })

const { url } = await startPostgres(runFolder, {
  fsync: 'off',
  synchronous_commit: 'on',
  full_page_writes: 'off',
  max_connections: '300'
})
const sql = postgres(url, { max: 1, onnotice: () => {} })
await sql`create database ${sql(TEMPLATE)}`
await sql.end()

const template = new URL(url)
template.pathname = TEMPLATE
const templateSql = postgres(template.href, { max: 1, onnotice: () => {} })
await migrate(templateSql)
await templateSql.end()

await writeFile(urlFile, url, { mode: 0o600 })
// Exits without stopping PostgreSQL, as a killed service does; after.ts adopts and stops it.
process.exit()
