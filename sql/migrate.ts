import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Sql, TransactionSql } from 'postgres'
import packageJson from '../package.json' with { type: 'json' }

const MIGRATION_LOCK = 0x636f6e63 // "conc" in ASCII; one node migrates, the other nodes wait

const release = (packageJson.version.split('-', 1)[0] as string).split('.').map(Number)

// The name of the first migration. Previews had another one.
const FIRST = 'tables'

const FUNCTION = /^create or replace function (\w+)/gm

const folders = {
  schema: join(import.meta.dirname, 'schema'),
  functions: join(import.meta.dirname, 'functions')
}

/**
 * Applies the new files in `schema/`, and all files in `functions/` if one has changed, in one transaction. Returns the
 * names of the applied files. Leaves a database alone that a newer release has migrated, so that nodes of both releases
 * can run. Throws when this release cannot run on it, when a preview of the service migrated the database, or when an
 * applied file in `schema/` was edited.
 */
export function migrate(sql: Sql): Promise<string[]> {
  return sql.begin(async tx => {
    await tx`set local statement_timeout = 0`
    await tx`set local lock_timeout = 0`
    await tx`select pg_advisory_xact_lock(${MIGRATION_LOCK})`
    return [...(await applySchema(tx)), ...(await applyFunctions(tx))]
  })
}

async function applySchema(tx: TransactionSql): Promise<string[]> {
  const [applied, files] = await Promise.all([readApplied(tx), readSchemaFiles()])
  if (applied[0] && applied[0].name !== FIRST) {
    throw new Error(
      'the database was created by a preview of this service and cannot be upgraded: ' +
        'move DATA_DIR away, or set DATABASE_URL to an empty database'
    )
  }
  const [current, newest] = [applied.at(-1)?.version ?? 0, files.at(-1)?.version ?? 0]
  if (current > newest) {
    const [{ needs }] = await tx<[{ needs: number }]>`
      select needs_version as needs
      from functions_applied`
    if (newest >= needs) return []
    throw new Error(
      `the database has schema version ${current}, this service knows ${newest}: start a newer service`
    )
  }
  for (const { version, md5 } of applied) {
    const file = files.find(file => file.version === version)
    if (md5 && file && file.md5 !== md5) {
      throw new Error(`MD5 checksum failed for migration [${version}]`)
    }
  }
  if (current === 0) {
    await tx`
      create table if not exists schema_version (
        version bigint primary key, name text, md5 text, run_at timestamptz
      )`
  }
  const missing = files.filter(({ version }) => version > current)
  for (const { text, version, name, md5 } of missing) {
    await tx.unsafe(text)
    await tx`
      insert into schema_version (version, name, md5, run_at)
      values (${version}, ${name}, ${md5}, now())`
  }
  return missing.map(({ file }) => file)
}

interface Applied {
  version: number
  name: string
  md5: string | null
}

/** Returns the applied files in `schema/`, in their order. */
async function readApplied(tx: TransactionSql): Promise<Applied[]> {
  const [{ exists }] = await tx<[{ exists: boolean }]>`
    select to_regclass('schema_version') is not null as exists`
  if (!exists) return []
  return tx<Applied[]>`
    select version::int, name, md5
    from schema_version
    where version > 0 -- earlier versions inserted a row 0
    order by version`
}

/** Returns the files in `schema/`, whose names are `VERSION.do.NAME.sql`, in their order. */
async function readSchemaFiles() {
  const files = (await readdir(folders.schema)).sort()
  return Promise.all(
    files.map(async file => {
      const [version, , name = ''] = file.split('.')
      const text = await readFile(join(folders.schema, file), 'utf8')
      return {
        file,
        version: Number(version),
        name,
        text,
        md5: createHash('md5').update(text).digest('hex')
      }
    })
  )
}

async function applyFunctions(tx: TransactionSql): Promise<string[]> {
  const names = (await readdir(folders.functions)).sort()
  const files = await Promise.all(
    names.map(name => readFile(join(folders.functions, name), 'utf8'))
  )
  const digest = createHash('sha256').update(files.join('\0')).digest('base64url')
  const { count } = await tx`
    update functions_applied
    set digest = ${digest}, release = ${release}
    where digest is distinct from ${digest}
    and coalesce(release <= ${release}, true)`
  if (count === 0) return []
  // A function may call a function from a file that is applied later.
  await tx`set local check_function_bodies = off`
  for (const file of files) await tx.unsafe(file)
  const functions = files.flatMap(file => [...file.matchAll(FUNCTION)].map(([, name = '']) => name))
  // By default every role could call these functions, or use a trigger function in a trigger on its own table.
  await tx`revoke execute on function ${tx(functions)} from public`
  return names
}
