import { maximum } from '../schemas/limits.ts'
import type { Operation } from '../schemas/operation.ts'

/**
 * A valid operation in its stored form, or the code of its rejection. `values` contains the stored form of a custom
 * value for each field that accepts it, because only the database knows which field the conflict is about.
 */
export type CheckedOperation =
  | { op: Operation & { values?: ConflictValues } }
  | { code: 'invalid' | 'limit' }

interface ConflictValues {
  text?: string
  title?: string
  dueOn?: string | null
}

class Rejection extends Error {
  readonly code: 'invalid' | 'limit'

  constructor(code: 'invalid' | 'limit') {
    super(code)
    this.code = code
  }
}

/**
 * Converts the texts of an operation to their stored form (NFC, line feeds, no trailing blanks) and its ids to lower
 * case. Returns the code `limit` when a text is too long for its field, also in `from` and `seen`. Returns the code
 * `invalid` for any other value that no checklist accepts.
 */
export function checkOperation(op: Operation): CheckedOperation {
  try {
    return { op: normalize(lowerCaseIds(op)) }
  } catch (error) {
    if (error instanceof Rejection) return { code: error.code }
    throw error
  }
}

function normalize(op: Operation): Operation {
  switch (op.kind) {
    case 'item.add':
      return normalizeItems(op)
    case 'item.set':
      return { ...op, set: normalizeSet(op.set) }
    case 'item.move':
      rejectIf(op.after === op.itemId)
      return op
    case 'item.delete':
      return {
        ...op,
        seen: {
          ...op.seen,
          text: normalizeSeenText(op.seen.text),
          dueOn: normalizeDay(op.seen.dueOn)
        }
      }
    case 'list.rename':
      return { ...op, from: normalizeSeenTitle(op.from), to: normalizeTitle(op.to) }
    case 'conflict.resolve':
      return normalizeValue(op)
    default:
      return op
  }
}

type ItemAdd = Extract<Operation, { kind: 'item.add' }>

function normalizeItems(op: ItemAdd): Operation {
  const { opId, kind, at, after, items, itemId, text: ownText, done, dueOn } = op
  rejectIf((items === undefined) === (itemId === undefined))
  rejectIf((itemId === undefined) !== (ownText === undefined))
  const one =
    itemId !== undefined && ownText !== undefined ? [{ itemId, text: ownText, done, dueOn }] : []
  const added = (items ?? one).map(item => {
    rejectIf(item.itemId === after)
    return { ...item, text: normalizeText(item.text), dueOn: normalizeDay(item.dueOn ?? null) }
  })
  return { opId, kind, at, after, items: added }
}

type ConflictResolve = Extract<Operation, { kind: 'conflict.resolve' }>

function normalizeValue(op: ConflictResolve): Operation {
  const { value, ...rest } = op
  rejectIf((op.choice === 'custom') !== (value !== undefined))
  rejectIf((op.choice === 'both') !== (op.newItemId !== undefined))
  if (op.seen !== null) rejectIfLonger(op.seen, maximum.textLength)
  if (value === undefined) return op
  const values: ConflictValues =
    value === null
      ? { dueOn: null }
      : {
          text: tryNormalize(normalizeText, value),
          title: tryNormalize(normalizeTitle, value),
          dueOn: tryNormalize(normalizeDay, value) ?? undefined
        }
  return { ...rest, values } as Operation
}

/** Returns whether a text is valid for a field and already in its stored form. */
export function isStorable(field: 'text' | 'title', value: string): boolean {
  return tryNormalize({ text: normalizeText, title: normalizeTitle }[field], value) === value
}

function tryNormalize<T>(normalizeField: (value: string) => T, value: string): T | undefined {
  try {
    return normalizeField(value)
  } catch (error) {
    if (error instanceof Rejection) return
    throw error
  }
}

type ItemSet = Extract<Operation, { kind: 'item.set' }>

function normalizeSet(set: ItemSet['set']): ItemSet['set'] {
  return {
    ...(set.text && {
      text: { from: normalizeSeenText(set.text.from), to: normalizeText(set.text.to) }
    }),
    ...(set.done && { done: set.done }),
    ...(set.dueOn && {
      dueOn: { from: normalizeDay(set.dueOn.from), to: normalizeDay(set.dueOn.to) }
    })
  }
}

function normalizeText(value: string): string {
  const clean = normalizeSeenText(value)
  rejectIf(clean.trim() === '' || hasControl(clean))
  return clean
}

function normalizeTitle(value: string): string {
  const clean = normalizeSeenTitle(value)
  rejectIf(clean === '' || clean.includes('\n') || hasControl(clean))
  return clean
}

// Texts in `from` and `seen` are not stored, so they may be empty or contain control characters.
function normalizeSeenText(value: string): string {
  const clean = value.normalize('NFC').replace(/\r\n?/g, '\n').trimEnd()
  rejectIfLonger(clean, maximum.textLength)
  return clean
}

function normalizeSeenTitle(value: string): string {
  const clean = value.normalize('NFC').trim()
  rejectIfLonger(clean, maximum.nameLength)
  return clean
}

function rejectIfLonger(value: string, max: number) {
  if ([...value].length > max) throw new Rejection('limit')
}

function normalizeDay(value: string | null): string | null {
  if (value === null) return null
  const date = new Date(`${value}T00:00:00Z`)
  rejectIf(!/^(?!0000)\d{4}-\d\d-\d\d$/.test(value) || Number.isNaN(date.getTime()))
  // `Date` parses "2026-02-30" as 2 March.
  rejectIf(date.toISOString().slice(0, 10) !== value)
  return value
}

function hasControl(value: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the control characters are what the pattern finds
  return /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(value)
}

// UUIDs are case-insensitive.
function lowerCaseIds(op: Operation): Operation {
  return JSON.parse(JSON.stringify(op), (key, value) =>
    (key === 'after' || key.endsWith('Id')) && typeof value === 'string'
      ? value.toLowerCase()
      : value
  )
}

function rejectIf(condition: boolean) {
  if (condition) throw new Rejection('invalid')
}
