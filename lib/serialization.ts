import { type SerializerFactory, SerializerSelector } from '@fastify/fast-json-stringify-compiler'

const buildCompiler = SerializerSelector()

/** Implements `buildSerializer`. A schema is compiled for the first response: see lib/validation.ts. */
export const buildSerializer: SerializerFactory = (schemas, options) => {
  const compile = buildCompiler(schemas, options)
  return route => {
    let serialize: ((data: unknown) => string) | undefined
    return data => {
      serialize ??= compile(route) as (data: unknown) => string
      return serialize(data)
    }
  }
}
