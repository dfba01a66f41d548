import { type SchemaOptions, type Static, type TSchema, Type } from '@sinclair/typebox'
import { maximum } from './limits.ts'

export const Id = (description: string) =>
  Type.String({
    format: 'uuid',
    description,
    examples: ['0b9f2b0e-5d4e-4c1c-9a53-3f1a3c9c7d10']
  })

/** A time: a `Date` in a row of the database, which the serializer writes as ISO 8601. */
export const Timestamp = (description: string) =>
  Type.Unsafe<Date>({
    type: 'string',
    format: 'date-time',
    description,
    examples: ['2025-11-22T10:28:13.370Z']
  })

/**
 * One of several words. The schema is an `enum` and not a union, so that the validation error is one sentence with all
 * words.
 */
export const OneOf = <const Word extends string>(words: Word[], options: SchemaOptions) =>
  Type.Unsafe<Word>({ type: 'string', enum: words, ...options })

/**
 * The type of a schema, or null. The result is an array of types and not a union, because the serializer would have to
 * validate a union.
 */
export const Nullable = <Schema extends TSchema>(schema: Schema) =>
  Type.Unsafe<Static<Schema> | null>({ ...schema, type: [schema.type, 'null'] })

export const NoContent = Type.Null({ description: 'Done; the response has no body' })

// JSON Schema 2020-12, 6.4, sets the flag `u`. With this flag, the range matches an unpaired surrogate, but no part of
// a pair.
const SURROGATES = '\\ud800-\\udfff'

/**
 * The pattern of every string from a client that has no narrower pattern or format. It excludes NUL, which PostgreSQL
 * cannot store. It also excludes unpaired surrogates: in UTF-8 all of them become U+FFFD, so that different passwords
 * would have the same hash.
 */
export const wellFormed = { pattern: `^[^\\u0000${SURROGATES}]*$` }

const CONTROL = `\\u0000-\\u001f\\u007f-\\u009f${SURROGATES}`

/** A name or title. Blanks at its ends do not count toward its length, because routes trim it before they store it. */
export const Line = (description: string, example: string) =>
  Type.String({
    pattern: `^\\s*[^\\s${CONTROL}](?:[^${CONTROL}]{0,${maximum.nameLength - 2}}[^\\s${CONTROL}])?\\s*$`,
    description: `${description}: 1–${maximum.nameLength} characters in one line; blanks at its ends are removed`,
    examples: [example]
  })
