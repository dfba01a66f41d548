import { AjvCompiler, type BuildCompilerFromPool } from '@fastify/ajv-compiler'
import type { FastifySchemaValidationError } from 'fastify'

const compiler = AjvCompiler()

const options = {
  useDefaults: true,
  removeAdditional: false,
  allErrors: false,
  discriminator: true
} as const

/**
 * Fastify's `buildValidator`. A body says what it means: nothing is converted, an unknown key is
 * refused. Query, parameters and headers are text, so they are converted to what the schema asks.
 */
export const buildValidator: BuildCompilerFromPool = schemas => {
  const exact = compiler(schemas, { customOptions: { ...options, coerceTypes: false }, onCreate })
  const text = compiler(schemas, { customOptions: { ...options, coerceTypes: 'array' }, onCreate })
  // The types say that this takes a schema, but it is the part of a route that has one.
  return part => ((part as { httpPart?: string }).httpPart === 'body' ? exact(part) : text(part))
}

/** Names the field, which Ajv leaves out of some messages. */
export function schemaErrorFormatter(errors: FastifySchemaValidationError[], part: string): Error {
  const [error] = errors
  if (!error) return new Error(`${part} is not valid`)
  const { instancePath, message, params } = error
  const where = `${part}${instancePath}`
  const unknown = params.additionalProperty
  if (typeof unknown === 'string') {
    return new Error(`${where}/${unknown.slice(0, 50)} is not known here`)
  }
  return new Error(`${where} ${message}${choices(params)}`)
}

function choices({ allowedValues }: { allowedValues?: unknown }): string {
  return Array.isArray(allowedValues) ? `: ${allowedValues.join(', ')}` : ''
}

function onCreate(ajv: { addFormat(name: string, format: RegExp): unknown }) {
  // The one of ajv-formats takes "urn:uuid:" as well, which PostgreSQL does not.
  ajv.addFormat('uuid', /^[\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}$/i)
}
