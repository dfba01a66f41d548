import { join } from 'node:path'
import Postgrator from 'postgrator'
import type { Sql } from 'postgres'

const MIGRATION_LOCK = 0x636f6e63 // "conc": one node migrates, the others wait for it

/**
 * Brings the schema up to date in one transaction and answers the names of what it applied.
 * Throws when the database is newer than this service, or when an applied migration was edited.
 */
export function migrate(sql: Sql): Promise<string[]> {
  return sql.begin(async tx => {
    await tx`set local statement_timeout = 0`
    await tx`select pg_advisory_xact_lock(${MIGRATION_LOCK})`
    const postgrator = new Postgrator({
      driver: 'pg',
      migrationPattern: join(import.meta.dirname, 'migrations', '*.sql'),
      schemaTable: 'schema_version',
      execQuery: async query => ({ rows: await tx.unsafe(query) })
    })
    const [have, known] = [await postgrator.getDatabaseVersion(), await postgrator.getMaxVersion()]
    if (have > known) {
      throw new Error(
        `the database has schema version ${have}, this service knows ${known}: start a newer service`
      )
    }
    const applied = await postgrator.migrate()
    return applied.map(({ filename }) => filename.split('/').at(-1) ?? filename)
  })
}
