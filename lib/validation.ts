import { AjvCompiler, type BuildCompilerFromPool } from '@fastify/ajv-compiler'
import type { FastifySchemaValidationError } from 'fastify'

const compiler = AjvCompiler()

const options = {
  useDefaults: true,
  removeAdditional: false,
  allErrors: false,
  discriminator: true,
  // TypeBox makes valid schemas, and the strict mode of Ajv still refuses unknown keywords. To compile the schema of all
  // schemas and to check each schema takes 80 ms of a start.
  validateSchema: false,
  // Would make the compiled functions shorter, not faster.
  code: { optimize: false }
} as const

/**
 * Implements `buildValidator`. Query, parameters and headers arrive as text, so only their values are converted. A schema
 * is compiled when the first value is validated: to compile all of them takes 0.15 s of a start.
 */
export const buildValidator: BuildCompilerFromPool = schemas => {
  const exact = compiler(schemas, { customOptions: { ...options, coerceTypes: false }, onCreate })
  const text = compiler(schemas, { customOptions: { ...options, coerceTypes: 'array' }, onCreate })
  return part => {
    // The declared type of `part` is wrong: it is an object with a schema and `httpPart`, the part of the request.
    const compile = (part as { httpPart?: string }).httpPart === 'body' ? exact : text
    let compiled: ValidateFunction | undefined
    const validate = ((value: unknown) => {
      compiled ??= compile(part) as ValidateFunction
      const isValid = compiled(value)
      validate.errors = compiled.errors
      return isValid
    }) as ValidateFunction
    return validate
  }
}

type ValidateFunction = ReturnType<ReturnType<BuildCompilerFromPool>>

/** Returns a function that validates values outside of requests, as if they were a body or the parameters of a request. */
export function createValidator(schema: object, httpPart: 'body' | 'params'): ValidateFunction {
  return buildValidator({})({ schema, httpPart } as never)
}

/** Returns an error whose message names the field. Some messages of Ajv do not name it. */
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
  // The format `uuid` of ajv-formats also accepts the prefix "urn:uuid:", but PostgreSQL refuses it.
  ajv.addFormat('uuid', /^[\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}$/i)
}
