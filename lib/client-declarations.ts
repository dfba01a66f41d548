import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import packageJson from '../package.json' with { type: 'json' }
import { Change, exactChanges } from '../schemas/change.ts'
import { type JsonSchema, printComment, printType } from './print-type.ts'

const folder = join(import.meta.dirname, '../client')

// A test compares these declarations, and all types, with those of client/index.ts.
const values = `
/** Returns a client of the service at \`address\`, by default that of the page. */
export declare function createClient(address?: string | URL, options?: Options): Client

/** The error of every call of this library. */
export declare class ConcordError extends Error {
  readonly name = 'ConcordError'
  /** stable, for programs. A service of a later version may send codes that this version does not know */
  readonly code: ErrorCode | (string & {})
  /** HTTP status; null when there was no response */
  readonly status: number | null
  /** time after which a retry may succeed, in milliseconds; null when unknown */
  readonly retryAfterMs: number | null
  constructor(
    code: ErrorCode | (string & {}),
    message: string,
    details?: { status?: number | null; retryAfterMs?: number | null; cause?: unknown }
  )
}

/** Returns a storage that lasts as long as the process or the page. */
export declare function memoryStorage(): Storage

/** Returns a storage in IndexedDB. */
export declare function indexedDbStorage(name?: string): Storage

/** The version of this library. */
export declare const version = '${packageJson.version}'
`

/**
 * Returns the types of the client as one declaration file that imports nothing. The types of the API are printed from
 * its schemas.
 */
export async function describeClient(): Promise<string> {
  const exports = [...readSource('index.ts').matchAll(EXPORT_TYPES)]
  const statements = exports.flatMap(([, names, file = '']) => declarationsOf(file, names))
  const schemas = await readSchemas(readSource('types.ts'))

  const names = new Map<string, string>()
  for (const statement of statements) {
    const [, name = '', row = ''] = ALIAS.exec(statement) ?? []
    const schema = schemas.get(row)
    if (schema) names.set(JSON.stringify(schema), name)
  }

  const types = statements.map(statement => {
    const [, name = '', row = ''] = ALIAS.exec(statement) ?? []
    const schema = schemas.get(row)
    if (!schema) return statement
    schemas.delete(row)
    return declare(name, schema, 'export ')
  })
  // Those that are left are parts of other types.
  const parts = [...schemas].map(([name, schema]) => declare(name, schema))
  return [...types, ...parts, values, 'export {}'].map(text => `${text.trim()}\n`).join('\n')

  function declare(name: string, schema: JsonSchema, prefix = ''): string {
    const { description } = schema
    const exact: JsonSchema = schema === Change ? { description, anyOf: exactChanges } : schema
    const type = printType(exact, part =>
      part === exact ? undefined : names.get(JSON.stringify(part))
    )
    const head = exact.properties ? `interface ${name}` : `type ${name} =`
    return [...printComment(description), `${prefix}${head} ${type}`].join('\n')
  }
}

/** `export type * from './types.ts'`, or `export type { Readable } from './readable.ts'` */
const EXPORT_TYPES = /^export type (?:\*|\{([^}]*)\}) from '\.\/([\w-]+\.ts)'$/gm
const STATEMENT = /^(?=(?:import|export|const|let|function|async|interface|type|class)\b|\/[/*])/m
const TYPE = /^(?:export )?(?:interface|type) (\w+)/
/** A type that is the JSON of a schema. */
const ALIAS = /^export type (\w+) = (?:Wire<)?(\w+)>?$/m
const IMPORT = /^import type \{([^}]*)\} from '\.\.\/schemas\/([\w-]+\.ts)'/gm

/** Returns the interfaces and types of a file, with their comments; with `names`, only these. */
function declarationsOf(file: string, names?: string): string[] {
  const statements = readSource(file).split(STATEMENT)
  return statements.flatMap((statement, n) => {
    const [, name = ''] = TYPE.exec(statement) ?? []
    if (name === '' || (names && !names.match(/\w+/g)?.includes(name))) return []
    const before = statements[n - 1] ?? ''
    return [(before.startsWith('/**') ? before : '') + statement]
  })
}

function readSource(file: string): string {
  return readFileSync(join(folder, file), 'utf8')
}

/** Returns the schemas that a file imports, by the names that it gives to their types. */
async function readSchemas(text: string): Promise<Map<string, JsonSchema>> {
  const schemas = new Map<string, JsonSchema>()
  for (const [, list = '', file = ''] of text.matchAll(IMPORT)) {
    const module = await import(`../schemas/${file}`)
    for (const [, name = '', alias = name] of list.matchAll(/(\w+)(?: as (\w+))?/g)) {
      if (!(name in module)) throw new Error(`schemas/${file} has no schema ${name}`)
      schemas.set(alias, toSchema(module[name]))
    }
  }
  return schemas
}

/** Returns a schema as it is, and a record of schemas as the schema of an object. */
function toSchema(value: JsonSchema | Record<string, JsonSchema>): JsonSchema {
  if ('type' in value || 'anyOf' in value) return value as JsonSchema
  return { type: 'object', properties: value, required: Object.keys(value) } as JsonSchema
}
