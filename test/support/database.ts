import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import postgres, { type TransactionSql } from 'postgres'
import type { Test } from 'tap'
import type { Sql } from '../../sql/executor.ts'
import { TEMPLATE, urlFile } from './cluster.ts'

/**
 * Creates a migrated database and returns its URL; drops the database when the test ends. The database is empty, or a
 * copy of `source`, to which no connection may be open.
 */
export async function createDatabase(t: Pick<Test, 'teardown'>, source?: string): Promise<string> {
  const url = new URL(clusterUrl())
  const name = `test_${randomBytes(6).toString('hex')}`
  const template = source ? new URL(source).pathname.slice(1) : TEMPLATE
  await query(sql => sql`create database ${sql(name)} template ${sql(template)}`)
  t.teardown(() => query(sql => sql`drop database ${sql(name)} with (force)`))
  url.pathname = name
  return url.href
}

/** Opens up to `max` connections to a database; closes them when the test ends. */
export function openSql(t: Pick<Test, 'teardown'>, url: string, max = 1): Sql {
  const sql = postgres(url, {
    max,
    onnotice: () => {},
    types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } }
  })
  t.teardown(() => sql.end({ timeout: 1 }))
  return sql
}

/** Runs `lock` in a transaction that stays open. Returns a function that commits the transaction. */
export async function holdLock(
  sql: Sql,
  lock: (tx: TransactionSql<{ bigint: number }>) => Promise<unknown>
): Promise<() => Promise<void>> {
  const held = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  const transaction = sql.begin(async tx => {
    await lock(tx)
    held.resolve()
    await released.promise
  })
  await held.promise
  return async () => {
    released.resolve()
    await transaction
  }
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
