import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import type { Change } from '../../../schemas/change.ts'
import type { Conflict } from '../../../schemas/conflict.ts'
import type { Item } from '../../../schemas/item.ts'
import type { Operation, Result } from '../../../schemas/operation.ts'
import { readChanges } from '../../../sql/changes.ts'
import { build } from '../../support/app.ts'
import { insertChecklist, type NewOperation, readChecklist } from '../../support/checklists.ts'

/** The state of one user's client: a snapshot and the changes applied to it. */
interface View {
  rev: number
  title: string
  items: Map<string, Item>
  conflicts: Map<string, Conflict>
}

const words = [
  'Buy',
  'milk',
  'and',
  'bread',
  'call',
  'Bob',
  'today',
  'pay',
  '100',
  'EUR',
  'now',
  'soon'
]

/** One random action. Its numbers select an operation that is possible in the state of the user's client. */
const move = fc.record({
  userIndex: fc.nat(3),
  what: fc.nat(13),
  a: fc.nat(1000),
  b: fc.nat(1000),
  // how many changes the user's client receives before the action: 0 is offline
  received: fc.nat(6),
  isSentTwice: fc.boolean()
})
type Move = typeof move extends fc.Arbitrary<infer Value> ? Value : never

t.test('random operations, resends and SQL converge without losing a word', async t => {
  const app = await build(t)
  await fc.assert(
    fc.asyncProperty(fc.array(move, { minLength: 5, maxLength: 40 }), async moves => {
      const { sql } = app
      const { listId, users, submit, addItems } = await insertChecklist(app, [
        'owner',
        'editor',
        'editor',
        'editor'
      ])
      await addItems('Buy milk and bread', 'Call Bob', 'Pay 100 EUR')
      const views = await Promise.all(users.map(() => empty()))
      const accepted: { op: Operation; result: Result }[] = []

      for (const one of moves) await play(one)
      const fresh = await Promise.all(
        users.map((_, n) => refresh(views[n] as View, Number.POSITIVE_INFINITY))
      )

      const {
        pos: _pos,
        epoch: _epoch,
        role: _role,
        ...snapshot
      } = await readChecklist(sql, users[0] as string, listId)
      const seen = {
        title: snapshot.title,
        rev: snapshot.rev,
        items: snapshot.items,
        conflicts: byId(snapshot.conflicts)
      }
      for (const view of [...fresh, await refresh(await empty(0), Number.POSITIVE_INFINITY)]) {
        t.strictSame(shown(view), seen)
      }
      const { changes } = await readChanges(sql, users[0] as string, listId, {
        since: 0,
        limit: 500,
        bytes: 1e9
      })
      t.strictSame(
        changes.map(({ rev }) => rev),
        changes.map((_, n) => n + 1)
      )
      // The error shows the seed, which repeats the run.
      for (const one of accepted)
        if (!isKept(one, changes)) throw new Error(`lost: ${JSON.stringify(one)}`)

      async function play({ userIndex, what, a, b, received, isSentTwice }: Move) {
        const view = views[userIndex] as View
        await refresh(view, received)
        const operation = operationOf(view, what, a, b)
        if (!operation) return plainSql(a, b)
        const op = { opId: randomUUID(), ...operation } as Operation
        const [result] = await submit(users[userIndex] as string, [op])
        if (!result) throw new Error('no result')
        if (isSentTwice) {
          const [again] = await submit(users[userIndex] as string, [op])
          // A rejected operation may be possible later; any other result is final.
          const expected = result.outcome === 'rejected' ? result : { ...result, duplicate: true }
          t.strictSame(again, expected)
        }
        if (result.outcome !== 'rejected') accepted.push({ op, result })
      }

      async function plainSql(a: number, b: number) {
        const [item] = await sql<{ id: string }[]>`
          select id from checklist_items where checklist_id = ${listId} order by id offset ${a % 4} limit 1`
        if (!item) return
        if (b % 3 === 0) await sql`delete from checklist_items where id = ${item.id}`
        else
          await sql`update checklist_items set done = not done, text = ${sentence(a, b)} where id = ${item.id}`
      }

      async function empty(since?: number): Promise<View> {
        if (since === 0) return { rev: 0, title: '', items: new Map(), conflicts: new Map() }
        const { rev, title, items, conflicts } = await readChecklist(
          sql,
          users[0] as string,
          listId
        )
        return {
          rev,
          title,
          items: new Map(items.map(item => [item.id, item])),
          conflicts: new Map(conflicts.map(conflict => [conflict.id, conflict]))
        }
      }

      async function refresh(view: View, limit: number): Promise<View> {
        const most = Math.min(limit, 500)
        if (most === 0) return view
        const { changes } = await readChanges(sql, users[0] as string, listId, {
          since: view.rev,
          limit: most,
          bytes: 1e9
        })
        for (const change of changes) apply(view, change)
        return view
      }
    }),
    { numRuns: 25, endOnFailure: true }
  )
})

/** Returns an operation that is possible in this state, or undefined for an action by plain SQL. */
function operationOf(
  { items, conflicts, rev, title }: View,
  what: number,
  a: number,
  b: number
): NewOperation | undefined {
  const list = [...items.values()]
  const item = list[a % Math.max(list.length, 1)]
  const other = list[b % Math.max(list.length, 1)]
  const conflict = [...conflicts.values()][a % Math.max(conflicts.size, 1)]
  if (what === 0 || !item)
    return {
      kind: 'item.add',
      itemId: randomUUID(),
      text: sentence(a, b),
      after: other?.id ?? null
    }
  if (what <= 4)
    return {
      kind: 'item.set',
      itemId: item.id,
      set: { text: { from: item.text, to: edited(item.text, a, b) } }
    }
  if (what === 5)
    return { kind: 'item.set', itemId: item.id, set: { done: { from: item.done, to: !item.done } } }
  if (what === 6) {
    const to = b % 3 === 0 ? null : `2026-12-0${1 + (b % 9)}`
    return { kind: 'item.set', itemId: item.id, set: { dueOn: { from: item.dueOn, to } } }
  }
  if (what === 7)
    return {
      kind: 'item.move',
      itemId: item.id,
      after: other && other.id !== item.id ? other.id : null
    }
  if (what === 8) {
    const { text, done, dueOn } = item
    return { kind: 'item.delete', itemId: item.id, seen: { text, done, dueOn } }
  }
  if (what === 9) return { kind: 'item.restore', itemId: item.id }
  if (what === 10) return { kind: 'list.rename', from: title, to: edited(title, a, b) }
  if (what === 11 && b % 5 === 0)
    return { kind: 'list.restoreTo', rev: Math.max(1, rev - (a % 4)), seenRev: rev }
  if (what <= 12 && conflict) {
    const seen = conflict.ours as string | null
    if (conflict.field === 'alive')
      return {
        kind: 'conflict.resolve',
        conflictId: conflict.id,
        choice: b % 2 ? 'keep' : 'delete',
        seen
      }
    return {
      kind: 'conflict.resolve',
      conflictId: conflict.id,
      choice: b % 2 ? 'ours' : 'theirs',
      seen
    }
  }
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
  return parts.join(' ').slice(0, 150)
}

/** Applies a change to the state, as every client does. */
function apply(view: View, change: Change) {
  const { rev } = change
  if (rev !== view.rev + 1) throw new Error(`revision ${rev} after ${view.rev}`)
  view.rev = rev
  switch (change.kind) {
    case 'item.added':
    case 'item.updated':
      view.items.set(change.itemId, change.after)
      break
    case 'item.deleted':
      view.items.delete(change.itemId)
      break
    case 'conflict.opened':
    case 'conflict.updated':
      view.conflicts.set(change.after.id, change.after)
      break
    case 'conflict.resolved':
      view.conflicts.delete(change.before.id)
      break
    default:
      if (change.after) view.title = change.after.title
  }
}

function shown({ rev, title, items, conflicts }: View) {
  const inOrder = [...items.values()].toSorted(
    (a, b) => a.position - b.position || (a.id < b.id ? -1 : 1)
  )
  return { title, rev, items: inOrder, conflicts: byId([...conflicts.values()]) }
}

function byId(conflicts: Conflict[]): Conflict[] {
  return conflicts.toSorted((a, b) => (a.id < b.id ? -1 : 1))
}

/**
 * Returns whether the log contains an accepted text: as it was sent, in a merge that has its new words, or in a
 * conflict.
 */
function isKept({ op, result }: { op: Operation; result: Result }, changes: Change[]): boolean {
  if (op.kind !== 'item.set' || !op.set.text || op.set.text.from === op.set.text.to) return true
  const { from, to } = op.set.text
  const added = to.split(' ').filter(word => !from.split(' ').includes(word))
  const texts = changes.flatMap(({ after, opId }) => {
    const isMine = opId === op.opId
    if (after && 'text' in after) return [{ text: after.text, isMine }]
    if (after && 'theirs' in after) return [{ text: after.theirs, isMine }]
    return []
  })
  const isThere = texts.some(({ text }) => text === to)
  // The merge changes nothing when the text contains the change already, from another operation.
  const isMerged = texts.some(
    ({ text, isMine }) =>
      (isMine || result.outcome === 'noop') &&
      added.every(word => String(text).split(' ').includes(word))
  )
  return isThere || isMerged
}
