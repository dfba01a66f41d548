import { type SchemaOptions, type Static, type TSchema, Type } from '@sinclair/typebox'
import { maximum } from './limits.ts'

export const Id = (description: string) =>
  Type.String({
    format: 'uuid',
    description,
    examples: ['0b9f2b0e-5d4e-4c1c-9a53-3f1a3c9c7d10']
  })

/** A `Date` of a row, which serializing turns into ISO 8601. */
export const Timestamp = (description: string) =>
  Type.Unsafe<Date>({
    type: 'string',
    format: 'date-time',
    description,
    examples: ['2025-11-22T10:28:13.370Z']
  })

/** One of some words, as `enum`: Ajv then says in one sentence which there are. */
export const OneOf = <const Word extends string>(words: Word[], options: SchemaOptions) =>
  Type.Unsafe<Word>({ type: 'string', enum: words, ...options })

/** The type, or null. As an array of types it costs the serializer a comparison, as a union a validation. */
export const Nullable = <Schema extends TSchema>(schema: Schema) =>
  Type.Unsafe<Static<Schema> | null>({ ...schema, type: [schema.type, 'null'] })

export const NoContent = Type.Null({ description: 'Done; the answer has no body' })

// With the flag `u`, as JSON Schema 2020-12 reads a pattern (6.4), this is half a surrogate pair and no part of a whole one.
const HALVES = '\\ud800-\\udfff'

/**
 * Part of every string that a client sends and that has no narrower pattern or format. PostgreSQL cannot store
 * NUL. Different halves of surrogate pairs become the same U+FFFD in UTF-8, so that two passwords would hash alike.
 */
export const wellFormed = { pattern: `^[^\\u0000${HALVES}]*$` }

const CONTROL = `\\u0000-\\u001f\\u007f-\\u009f${HALVES}`

/** A name or title. Blanks at the ends do not count, and `trim()` cuts them before anything is stored. */
export const Line = (description: string, example: string) =>
  Type.String({
    pattern: `^\\s*[^\\s${CONTROL}](?:[^${CONTROL}]{0,${maximum.nameLength - 2}}[^\\s${CONTROL}])?\\s*$`,
    description: `${description}: 1–${maximum.nameLength} characters of one line, without the blanks at its ends`,
    examples: [example]
  })
