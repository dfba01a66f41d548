import { maximum } from '../schemas/limits.ts'
import type { Operation } from '../schemas/operation.ts'

/**
 * An operation as it may be written, or the code of why it may not. Of a custom answer to a conflict it has
 * `values`: the value in the form of each field that can hold it, since only the database knows the field.
 */
export type Checked =
  | { op: Operation & { values?: ConflictValues } }
  | { code: 'invalid' | 'limit' }

interface ConflictValues {
  text?: string
  title?: string
  dueOn?: string | null
}

class Refusal extends Error {
  readonly code: 'invalid' | 'limit'

  constructor(code: 'invalid' | 'limit') {
    super(code)
    this.code = code
  }
}

/**
 * Brings the texts of an operation into the form that is stored (NFC, line feeds, no blanks at the end) and its ids
 * into lower case. Refuses what no checklist may hold: `limit` for a text longer than its field, also one that
 * the person claims to have seen, `invalid` for everything else.
 */
export function checkOperation(op: Operation): Checked {
  try {
    return { op: normalised(lowerCased(op)) }
  } catch (error) {
    if (error instanceof Refusal) return { code: error.code }
    throw error
  }
}

function normalised(op: Operation): Operation {
  switch (op.kind) {
    case 'item.add':
      return withNewItems(op)
    case 'item.set':
      return { ...op, set: normalisedSet(op.set) }
    case 'item.move':
      refuseIf(op.after === op.itemId)
      return op
    case 'item.delete':
      return {
        ...op,
        seen: { ...op.seen, text: seenText(op.seen.text), dueOn: day(op.seen.dueOn) }
      }
    case 'list.rename':
      return { ...op, from: seenTitle(op.from), to: title(op.to) }
    case 'conflict.resolve':
      return withValues(op)
    default:
      return op
  }
}

type ItemAdd = Extract<Operation, { kind: 'item.add' }>

function withNewItems(op: ItemAdd): Operation {
  const { opId, kind, at, after, items, itemId, text: ownText, done, dueOn } = op
  refuseIf((items === undefined) === (itemId === undefined))
  refuseIf((itemId === undefined) !== (ownText === undefined))
  const one =
    itemId !== undefined && ownText !== undefined ? [{ itemId, text: ownText, done, dueOn }] : []
  const added = (items ?? one).map(item => {
    refuseIf(item.itemId === after)
    return { ...item, text: text(item.text), dueOn: day(item.dueOn ?? null) }
  })
  return { opId, kind, at, after, items: added }
}

type ConflictResolve = Extract<Operation, { kind: 'conflict.resolve' }>

function withValues(op: ConflictResolve): Operation {
  const { value, ...rest } = op
  refuseIf((op.choice === 'custom') !== (value !== undefined))
  refuseIf((op.choice === 'both') !== (op.newItemId !== undefined))
  if (op.seen !== null) refuseIfLonger(op.seen, maximum.textLength)
  if (value === undefined) return op
  const values: ConflictValues =
    value === null
      ? { dueOn: null }
      : { text: held(text, value), title: held(title, value), dueOn: held(day, value) ?? undefined }
  return { ...rest, values } as Operation
}

/** Returns whether a text can be stored in a field as it stands. */
export function isStorable(field: 'text' | 'title', value: string): boolean {
  return held({ text, title }[field], value) === value
}

/** Returns the value in the form of a field, undefined when the field cannot hold it. */
function held<T>(form: (value: string) => T, value: string): T | undefined {
  try {
    return form(value)
  } catch (error) {
    if (error instanceof Refusal) return
    throw error
  }
}

type ItemSet = Extract<Operation, { kind: 'item.set' }>

function normalisedSet(set: ItemSet['set']): ItemSet['set'] {
  return {
    ...(set.text && { text: { from: seenText(set.text.from), to: text(set.text.to) } }),
    ...(set.done && { done: set.done }),
    ...(set.dueOn && { dueOn: { from: day(set.dueOn.from), to: day(set.dueOn.to) } })
  }
}

/** Returns the text of an item as it is stored. */
function text(value: string): string {
  const clean = seenText(value)
  refuseIf(clean.trim() === '' || hasControl(clean))
  return clean
}

/** Returns the title of a list as it is stored: one line without blanks at its ends. */
function title(value: string): string {
  const clean = seenTitle(value)
  refuseIf(clean === '' || clean.includes('\n') || hasControl(clean))
  return clean
}

// A text that a person saw may be anything; in the stored form it can be compared with the live one.
function seenText(value: string): string {
  const clean = value.normalize('NFC').replace(/\r\n?/g, '\n').trimEnd()
  refuseIfLonger(clean, maximum.textLength)
  return clean
}

function seenTitle(value: string): string {
  const clean = value.normalize('NFC').trim()
  refuseIfLonger(clean, maximum.nameLength)
  return clean
}

function refuseIfLonger(value: string, most: number) {
  if ([...value].length > most) throw new Refusal('limit')
}

function day(value: string | null): string | null {
  if (value === null) return null
  const date = new Date(`${value}T00:00:00Z`)
  refuseIf(!/^(?!0000)\d{4}-\d\d-\d\d$/.test(value) || Number.isNaN(date.getTime()))
  // "2026-02-30" is read as the second of March
  refuseIf(date.toISOString().slice(0, 10) !== value)
  return value
}

function hasControl(value: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(value)
}

/** Returns the operation with its ids in lower case: UUIDs compare without regard to case. */
function lowerCased(op: Operation): Operation {
  return JSON.parse(JSON.stringify(op), (key, value) =>
    (key === 'after' || key.endsWith('Id')) && typeof value === 'string'
      ? value.toLowerCase()
      : value
  )
}

function refuseIf(isWrong: boolean) {
  if (isWrong) throw new Refusal('invalid')
}
