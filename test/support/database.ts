import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import postgres from 'postgres'
import type { Test } from 'tap'
import { TEMPLATE, urlFile } from './cluster.ts'

/**
 * Creates a migrated database and returns its URL; drops the database when the test ends. The database is empty, or a
 * copy of `source`, to which no connection may be open.
 */
export async function createDatabase(t: Test, source?: string): Promise<string> {
  const url = new URL(clusterUrl())
  const name = `test_${randomBytes(6).toString('hex')}`
  const template = source ? new URL(source).pathname.slice(1) : TEMPLATE
  await query(sql => sql`create database ${sql(name)} template ${sql(template)}`)
  t.teardown(() => query(sql => sql`drop database ${sql(name)} with (force)`))
  url.pathname = name
  return url.href
}

async function query(statement: (sql: postgres.Sql) => Promise<unknown>) {
  const sql = postgres(clusterUrl(), { max: 1, onnotice: () => {} })
  await statement(sql)
  await sql.end()
}

function clusterUrl(): string {
  try {
    return readFileSync(urlFile, 'utf8')
  } catch {
    throw new Error('tests share a PostgreSQL server that tap starts: npx tap test/that.test.ts')
  }
}
