import type { Operation } from '../schemas/operation.ts'

/** Characters that the text of an item and the title of a list may have. */
export const longest = { text: 2000, title: 200 }

/** An operation as it may be written, or the code of why it may not. */
export type Checked = { op: Operation } | { code: 'invalid' | 'limit' }

class Refusal extends Error {
  readonly code: 'invalid' | 'limit'

  constructor(code: 'invalid' | 'limit') {
    super(code)
    this.code = code
  }
}

/**
 * Brings the texts of an operation into the form that is stored (NFC, line feeds, no blanks at the end)
 * and refuses what no checklist may hold: `limit` for too long a text, `invalid` for everything else.
 */
export function checkOperation(op: Operation): Checked {
  try {
    return { op: normalised(op) }
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
      refuseIf(sameId(op.after, op.itemId))
      return op
    case 'item.delete':
      return {
        ...op,
        seen: { ...op.seen, text: seenText(op.seen.text), dueOn: day(op.seen.dueOn) }
      }
    case 'list.rename':
      return { ...op, from: seenText(op.from).trim(), to: title(op.to) }
    case 'conflict.resolve':
      refuseIf((op.choice === 'custom') !== (op.value !== undefined))
      refuseIf((op.choice === 'both') !== (op.newItemId !== undefined))
      return typeof op.value === 'string' ? { ...op, value: text(op.value) } : op
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
    refuseIf(sameId(item.itemId, after))
    return { ...item, text: text(item.text), dueOn: day(item.dueOn ?? null) }
  })
  return { opId, kind, at, after, items: added }
}

type ItemSet = Extract<Operation, { kind: 'item.set' }>

function normalisedSet(set: ItemSet['set']): ItemSet['set'] {
  return {
    ...(set.text && { text: { from: seenText(set.text.from), to: text(set.text.to) } }),
    ...(set.done && { done: set.done }),
    ...(set.dueOn && { dueOn: { from: day(set.dueOn.from), to: day(set.dueOn.to) } })
  }
}

/** The text of an item. */
function text(value: string): string {
  const clean = seenText(value)
  refuseIf(clean.trim() === '' || hasControl(clean))
  if ([...clean].length > longest.text) throw new Refusal('limit')
  return clean
}

/** The title of a list: one line without blanks at its ends. */
function title(value: string): string {
  const clean = value.normalize('NFC').trim()
  refuseIf(clean === '' || clean.includes('\n') || hasControl(clean))
  if ([...clean].length > longest.title) throw new Refusal('limit')
  return clean
}

// What a person saw may be anything; brought into the stored form it can be compared with what is live.
function seenText(value: string): string {
  return value.normalize('NFC').replace(/\r\n?/g, '\n').trimEnd()
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

function sameId(a: string | null, b: string | null): boolean {
  return a?.toLowerCase() === b?.toLowerCase()
}

function refuseIf(isWrong: boolean) {
  if (isWrong) throw new Refusal('invalid')
}
