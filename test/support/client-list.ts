import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import type { FastifyInstance } from 'fastify'
import { applyChanges, type Confirmed, fromSnapshot } from '../../client/confirmed.ts'
import { openConflicts, shownItem, shownTitle, type Working } from '../../client/replay.ts'
import type { Entry } from '../../client/storage.ts'
import type { Change, Conflict, Item, Operation, Wire } from '../../client/types.ts'
import { readChanges } from '../../sql/changes.ts'
import { insertChecklist, type NewOperation } from './checklists.ts'

/** A new checklist of the service, and its confirmed state in a client of its owner. */
export async function openList(app: FastifyInstance, texts: readonly string[]) {
  const list = await insertChecklist(app, ['owner', 'editor'])
  const { listId, ownerId, users, submit } = list
  if (texts.length > 0) await list.addItems(...texts)
  let confirmed = fromSnapshot(wire(await list.read()))

  return {
    ...list,
    otherId: users[1] as string,
    confirmed: () => confirmed,

    /** Sends one operation of the owner and returns its result. */
    async send(op: Operation) {
      const [result] = await submit(ownerId, [op])
      if (!result) throw new Error('no result')
      return result
    },

    /** Reads the new changes, applies them to the confirmed state, and returns them. */
    async catchUp(): Promise<Change[]> {
      const page = { since: confirmed.rev, limit: 500, bytes: 1e9 }
      const { changes } = wire(await readChanges(app.sql, ownerId, listId, page))
      const next = applyChanges(confirmed, changes)
      if (next === 'gap') throw new Error('gap')
      confirmed = next
      return changes
    },

    /** Returns the rows as SQL has them, in the form of `stateOf`. */
    async rows() {
      const { sql } = app
      const [checklist] = await sql<[{ title: string; isDeleted: boolean }]>`
        select title, deleted_at is not null as "isDeleted"
        from checklists
        where id = ${listId}`
      const items = await sql<{ item: Item }[]>`
        select item_json(item) as item
        from checklist_items as item
        where checklist_id = ${listId}
        order by position, id`
      const conflicts = await sql<{ conflict: Conflict }[]>`
        select conflict_json(conflict) as conflict
        from conflicts as conflict
        where checklist_id = ${listId} and resolved_at is null`
      return {
        ...checklist,
        items: items.map(({ item }) => item),
        conflicts: sorted(conflicts.map(({ conflict }) => conflict))
      }
    }
  }
}

/**
 * Returns whether the service made room for an item. Then it has moved several items, also deleted ones, for which it
 * writes no event.
 */
export function hasMadeRoom(changes: readonly Change[]): boolean {
  const isMove = (change: Change) =>
    change.kind === 'item.updated' && change.before.position !== change.after.position
  return changes.some(
    change =>
      isMove(change) &&
      changes.some(
        other =>
          other !== change &&
          other.opId === change.opId &&
          (isMove(other) || other.kind === 'item.added')
      )
  )
}

/** Returns a value as it arrives over the network. */
function wire<Value>(value: Value) {
  return JSON.parse(JSON.stringify(value)) as Wire<Value>
}

/** Returns the live state of a confirmed or a predicted checklist. */
export function stateOf({ title, isDeleted, order, conflicts }: Confirmed | Working) {
  return { title, isDeleted, items: [...order], conflicts: sorted([...conflicts.values()]) }
}

/** Returns what a user sees of a checklist. Positions are left out. */
export function seenOf(working: Working) {
  const { isDeleted, order } = working
  return {
    title: shownTitle(working),
    isDeleted,
    items: order.map(({ id }) => withoutPosition(shownItem(working, id) as Item)),
    conflicts: sorted(openConflicts(working))
  }
}

export function withoutPosition({ id, text, done, dueOn }: Item) {
  return { id, text, done, dueOn }
}

function sorted(conflicts: Conflict[]) {
  return conflicts
    .map(({ itemId, field, base, ours, theirs }) =>
      JSON.stringify([itemId, field, base, ours, theirs])
    )
    .sort()
}

export function entryOf(seq: number, op: Operation, isSent = false): Entry {
  return { seq, checklistId: '', op, version: 0, isSent }
}

const words = ['Buy', 'milk', 'and', 'rye', 'bread', 'call', 'Bob', 'today', '100', 'EUR', 'soon']

/** Random numbers that `operationOf` turns into an operation. */
export const numbers = fc.record({ what: fc.nat(99), a: fc.nat(999), b: fc.nat(999) })
export type Numbers = typeof numbers extends fc.Arbitrary<infer Value> ? Value : never

/** Returns the operation of a user who sees a checklist, of any kind but list.restoreTo. */
export function operationOf(working: Working, { what, a, b }: Numbers): Operation {
  return { opId: randomUUID(), ...newOperation(working, { what, a, b }) } as Operation
}

function newOperation(working: Working, { what, a, b }: Numbers): NewOperation {
  const { order, deleted, isDeleted, confirmed } = working
  const gone = [...deleted.values()]
  const pick = <T>(all: readonly T[], n: number) => all[n % all.length]
  const item = order.length > 0 ? shownItem(working, pick(order, a)?.id ?? '') : undefined
  const anchor =
    b % 5 === 0 ? null : b % 7 === 0 && gone.length > 0 ? pick(gone, b)?.id : pick(order, b)?.id
  const after = anchor ?? null
  const conflict = pick(openConflicts(working), a)
  const title = shownTitle(working)

  if (isDeleted && what % 3 > 0) return { kind: 'list.restore' }
  if (what < 3) return { kind: 'list.delete', seenRev: confirmed.rev }
  if (what < 4) return { kind: 'list.restore' }
  if (what < 12) return { kind: 'list.rename', from: title, to: edited(title, a, b) }
  if (what < 20 && conflict) return resolution(working, conflict, b)
  if (what < 24) {
    const count = 2 + (a % 4)
    const items = Array.from({ length: count }, (_, n) => ({
      itemId: randomUUID(),
      text: sentence(a + n, b)
    }))
    return { kind: 'item.add', items, after }
  }
  if (!item || what < 34)
    return { kind: 'item.add', itemId: randomUUID(), text: sentence(a, b), after }
  const itemId = item.id
  if (what < 46) return { kind: 'item.move', itemId, after: after === itemId ? null : after }
  if (what < 54) {
    const { text, done, dueOn } = item
    return { kind: 'item.delete', itemId, seen: { text, done, dueOn } }
  }
  if (what < 62 && gone.length > 0)
    return { kind: 'item.restore', itemId: pick(gone, a)?.id ?? itemId }
  const text = { text: { from: item.text, to: edited(item.text, a, b) } }
  const done = { done: { from: item.done, to: b % 4 === 0 ? item.done : !item.done } }
  const dueOn = { dueOn: { from: item.dueOn, to: b % 3 === 0 ? null : `2026-12-${10 + (b % 5)}` } }
  if (what < 68) return { kind: 'item.set', itemId, set: done }
  if (what < 74) return { kind: 'item.set', itemId, set: dueOn }
  if (what < 79) return { kind: 'item.set', itemId, set: { ...text, ...done, ...dueOn } }
  return { kind: 'item.set', itemId, set: text }
}

function resolution(working: Working, conflict: Conflict, b: number): NewOperation {
  const { id: conflictId, itemId, field, theirs } = conflict
  const item = itemId === null ? undefined : working.items.get(itemId)
  const live = field === 'title' ? working.title : field === 'dueOn' ? item?.dueOn : item?.text
  const resolve = { kind: 'conflict.resolve', conflictId, seen: live ?? null } as const
  if (field === 'alive') return { ...resolve, choice: b % 2 ? 'keep' : 'delete' }
  const choices = ['ours', 'theirs', 'custom', ...(field === 'text' ? ['both'] : [])] as const
  const choice = choices[b % choices.length] as 'ours' | 'theirs' | 'both' | 'custom'
  if (choice === 'both') return { ...resolve, choice, newItemId: randomUUID() }
  if (choice !== 'custom') return { ...resolve, choice }
  return { ...resolve, choice, value: field === 'dueOn' ? '2026-01-01' : `${theirs} ` }
}

function sentence(a: number, b: number): string {
  return [a, b, a + b, a * 3].map(n => words[n % words.length]).join(' ')
}

function edited(text: string, a: number, b: number): string {
  const parts = text.split(' ')
  const at = a % parts.length
  const word = `${words[b % words.length]}${b % 7}`
  if (b % 3 === 0) parts.splice(at, 1, word)
  else if (b % 3 === 1) parts.splice(at, 0, word)
  else if (parts.length > 1) parts.splice(at, 1)
  return parts.join(' ').slice(0, 150).trim()
}

/** Applies one change, as `applyChanges`. */
export function applyChange(confirmed: Confirmed, change: Change): Confirmed | 'gap' {
  return applyChanges(confirmed, [change])
}
