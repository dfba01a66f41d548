import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { combine } from '../../client/combine.ts'
import { type Confirmed, fromSnapshot } from '../../client/confirmed.ts'
import { putItem } from '../../client/place.ts'
import { replay, type Working } from '../../client/replay.ts'
import type { Entry } from '../../client/storage.ts'
import type { ChecklistData, Item, Operation } from '../../client/types.ts'
import { createUndo, type NewOperation } from '../../client/undo.ts'
import { entryOf, type Numbers, numbers, operationOf, seenOf } from '../support/client-list.ts'

const me = 'me'

function listOf(...texts: string[]): Confirmed {
  const items = texts.map((text, n) => ({
    ...{ id: `i${n}`, text, done: false, dueOn: null, position: 1024 * (n + 1) }
  }))
  const rest = { id: 'list', projectId: 'p', title: 'To buy', rev: 1, epoch: 'e' } as const
  return fromSnapshot({ ...rest, role: 'owner', items, conflicts: [] } satisfies ChecklistData)
}

/** A user who edits a checklist, undoes and redoes. */
function createEditor(confirmed: Confirmed, { isCombining = false } = {}) {
  const undo = createUndo()
  let entries: Entry[] = []
  let now = 0

  function apply(op: NewOperation) {
    const whole = { ...op, opId: randomUUID() } as Operation
    const combined = isCombining ? combine(entries, working(), whole) : undefined
    if (!combined) entries = [...entries, entryOf(entries.length, whole)]
    else
      entries = entries.flatMap(entry => {
        if (entry !== combined.entry) return entry
        return combined.into ? { ...entry, op: combined.into } : []
      })
  }

  const working = (): Working => replay(confirmed, entries, me)

  return {
    undo,
    working,
    texts: () => working().order.map(({ text }) => text),
    add(op: NewOperation, ms = 2000) {
      now += ms
      undo.record({ ...op, opId: randomUUID() } as Operation, working(), now)
      apply(op)
    },
    takeBack: (kind: 'undo' | 'redo' = 'undo') => {
      const ops = undo[kind](working())
      for (const op of ops ?? []) apply(op)
      return ops
    },
    /** The service receives everything, then another user changes an item. */
    write(itemId: string, change: Partial<Item>) {
      const { title, isDeleted, items, order, deleted } = working()
      confirmed = { ...confirmed, title, isDeleted, items, order, deleted }
      putItem(confirmed, { ...(items.get(itemId) as Item), ...change })
      entries = []
    }
  }
}

const setText = (itemId: string, from: string, to: string): NewOperation => ({
  ...{ kind: 'item.set', itemId, set: { text: { from, to } } }
})

t.test('undo takes an edit back, redo makes it again', async t => {
  const { add, takeBack, texts, undo } = createEditor(listOf('milk'))
  t.equal(undo.canUndo(), false)
  add(setText('i0', 'milk', 'oat milk'))
  t.equal(undo.canUndo(), true)
  takeBack()
  t.strictSame(texts(), ['milk'])
  t.equal(undo.canRedo(), true)
  takeBack('redo')
  t.strictSame(texts(), ['oat milk'])
  add(setText('i0', 'oat milk', 'rye'))
  t.equal(undo.canRedo(), false, 'a new edit ends redo')
})

t.test('edits of one field within a second are one step', async t => {
  const { add, takeBack, texts } = createEditor(listOf('milk', 'bread'))
  add(setText('i0', 'milk', 'milk a'), 2000)
  add(setText('i0', 'milk a', 'milk ab'), 900)
  add(setText('i0', 'milk ab', 'milk abc'), 900)
  add(setText('i0', 'milk abc', 'milk abcd'), 1100)
  add(setText('i1', 'bread', 'rye'), 10)
  takeBack()
  t.strictSame(texts(), ['milk abcd', 'bread'])
  takeBack()
  t.strictSame(texts(), ['milk abc', 'bread'])
  takeBack()
  t.strictSame(texts(), ['milk', 'bread'])
})

t.test('undo keeps the words of others', async t => {
  const { add, takeBack, texts, write } = createEditor(listOf('Buy milk and bread'))
  add(setText('i0', 'Buy milk and bread', 'Buy oat milk and bread'))
  write('i0', { text: 'Buy oat milk and rye bread' })
  takeBack()
  t.strictSame(texts(), ['Buy milk and rye bread'])
})

t.test('undo does nothing where another user changed the same', async t => {
  const { add, takeBack, texts, write, undo } = createEditor(listOf('Call Bob', 'milk'))
  add(setText('i0', 'Call Bob', 'Call Alice'))
  write('i0', { text: 'Call Carol' })
  t.equal(takeBack(), null)
  t.strictSame(texts(), ['Call Carol', 'milk'])
  t.equal(undo.canUndo(), false)

  add({ kind: 'item.set', itemId: 'i1', set: { done: { from: false, to: true } } })
  write('i1', { done: false })
  t.equal(takeBack(), null)

  add({ kind: 'item.add', itemId: 'new', text: 'eggs', after: null })
  write('new', { text: '12 eggs' })
  t.equal(takeBack(), null)
})

t.test('undo of a paste keeps the lines that another user changed', async t => {
  const { add, takeBack, texts, write } = createEditor(listOf('milk'))
  const items = ['a', 'b', 'c'].map(text => ({ itemId: text, text }))
  add({ kind: 'item.add', items, after: 'i0' })
  write('b', { text: 'b changed' })
  takeBack()
  t.strictSame(texts(), ['milk', 'b changed'])
})

t.test('undo restores a deleted item at its place, even when never sent', async t => {
  for (const isCombining of [false, true]) {
    const { add, takeBack, texts } = createEditor(listOf('a', 'b'), { isCombining })
    const seen = { text: 'new', done: false, dueOn: null }
    add({ kind: 'item.add', itemId: 'new', text: 'new', after: 'i0' })
    add({ kind: 'item.delete', itemId: 'new', seen })
    t.strictSame(texts(), ['a', 'b'])
    takeBack()
    t.strictSame(texts(), ['a', 'new', 'b'])
  }
})

t.test('only the last steps are kept', async t => {
  const undo = createUndo(2)
  const working = replay(listOf('milk'), [], me)
  for (let n = 0; n < 3; n++)
    undo.record({ opId: '', ...setText('i0', 'milk', `milk ${n}`) } as Operation, working, n * 5000)
  undo.undo(working)
  undo.undo(working)
  t.equal(undo.canUndo(), false)
})

t.test('n undos and n redos without foreign writes change nothing', async t => {
  for (const isCombining of [false, true])
    fc.assert(
      fc.property(
        fc.array(fc.tuple(numbers, fc.nat(3)), { minLength: 1, maxLength: 20 }),
        moves => {
          const editor = createEditor(listOf('Buy milk', 'Call Bob', 'Pay 100 EUR'), {
            isCombining
          })
          const { working, add, takeBack, undo } = editor
          const first = seenOf(working())
          for (const [move, pause] of moves) {
            const op = operationOf(working(), move)
            // A checklist refuses every other change while it is deleted.
            if (working().isDeleted && op.kind !== 'list.restore') continue
            add(op, pause * 400)
          }
          const last = seenOf(working())
          const states: unknown[] = []
          while (undo.canUndo()) {
            states.push(seenOf(working()))
            if (!takeBack()) throw new Error('no undo')
          }
          equal(seenOf(working()), first)
          while (undo.canRedo()) {
            if (!takeBack('redo')) throw new Error('no redo')
            equal(seenOf(working()), states.pop())
          }
          equal(seenOf(working()), last)
        }
      ),
      { numRuns: 150 }
    )
  t.pass()
})

function equal(found: unknown, wanted: unknown) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)]
  if (a !== b) throw new Error(`${a}\nis not\n${b}`)
}

t.test('an undo never removes a word of another user', async t => {
  const edits = fc.array(fc.tuple(fc.nat(4), numbers), { minLength: 2, maxLength: 12 })
  let undos = 0
  fc.assert(
    fc.property(edits, moves => {
      const { working, add, takeBack, write, undo } = createEditor(
        listOf('Buy milk and bread today', 'Call Bob about the rent')
      )
      const theirs = new Map<string, string[]>()
      let foreign = 0
      for (const [who, move] of moves) {
        const item = working().order[move.a % 2] as Item
        if (who < 2) {
          // Words that only the other user writes.
          const words = item.text.split(' ')
          const word = `theirs${foreign++}`
          words.splice(move.b % (words.length + 1), move.b % 3 === 0 ? 1 : 0, word)
          write(item.id, { text: words.join(' ') })
          theirs.set(item.id, [...(theirs.get(item.id) ?? []), word])
        } else add(ownEdit(working(), item, move))
      }
      // A word may have been removed by the user's own edits before.
      const before = working()
      while (undo.canUndo()) {
        const live = new Map(working().items)
        if (takeBack()) undos++
        for (const [id, words] of theirs)
          for (const word of words)
            if (live.get(id)?.text.includes(word) && !working().items.get(id)?.text.includes(word))
              throw new Error(
                `${word} of ${live.get(id)?.text} in ${working().items.get(id)?.text}`
              )
      }
      return before.items.size === working().items.size
    }),
    { numRuns: 250 }
  )
  t.ok(undos > 100, `${undos} undos`)
})

function ownEdit(working: Working, item: Item, { a, b }: Numbers): NewOperation {
  const { opId: _, ...op } = operationOf(
    { ...working, order: [item], conflicts: new Map() },
    { what: 90, a: b, b: a }
  )
  return op as NewOperation
}
