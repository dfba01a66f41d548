import assert from 'node:assert'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { combine } from '../../client/combine.ts'
import { type Confirmed, fromSnapshot } from '../../client/confirmed.ts'
import { replay, shownItem, type Working } from '../../client/replay.ts'
import type { Entry } from '../../client/storage.ts'
import type { ChecklistData, Conflict, Item, Operation } from '../../client/types.ts'
import { build } from '../support/app.ts'
import type { NewOperation } from '../support/checklists.ts'
import {
  entryOf,
  type Numbers,
  numbers,
  openList,
  operationOf,
  seenOf,
  withoutPosition
} from '../support/client-list.ts'

const me = 'me'

function listOf(count: number): Confirmed {
  const items = Array.from({ length: count }, (_, n) => ({
    ...{ id: `i${n}`, text: `item ${n}`, done: false, dueOn: null, position: 1024 * (n + 1) }
  }))
  const rest = { id: 'list', projectId: 'p', title: 'List', rev: 1, epoch: 'e' } as const
  return fromSnapshot({ ...rest, role: 'owner', items, conflicts: [] } satisfies ChecklistData)
}

/** A queue of unsent entries in which operations are combined. */
function createQueue(confirmed: Confirmed, userId = me) {
  let entries: Entry[] = []
  let working = replay(confirmed, entries, userId)
  let seq = 0

  return {
    entries: () => entries,
    ops: () => entries.map(({ op }) => op),
    working: () => working,
    add(op: Operation) {
      const combined = combine(entries, working, op)
      if (!combined) entries = [...entries, entryOf(seq++, op)]
      else
        entries = entries.flatMap(entry => {
          if (entry !== combined.entry) return entry
          return combined.into ? { ...entry, op: combined.into } : []
        })
      working = replay(confirmed, entries, userId)
    },
    /** Another user changes the text of an item. */
    write(itemId: string, change: (text: string) => string) {
      const { items, order } = confirmed
      const item = items.get(itemId) as Item
      const changed = { ...item, text: change(item.text) }
      confirmed = {
        ...confirmed,
        items: new Map(items).set(itemId, changed),
        order: order.map(one => (one === item ? changed : one))
      }
      working = replay(confirmed, entries, userId)
    }
  }
}

function queueOf(confirmed: Confirmed, ops: NewOperation[]) {
  const queue = createQueue(confirmed)
  for (const op of ops) queue.add({ opId: randomUUID(), ...op } as Operation)
  return queue
}

const setText = (itemId: string, from: string, to: string): NewOperation => ({
  ...{ kind: 'item.set', itemId, set: { text: { from, to } } }
})
const tick = (itemId: string, from: boolean): NewOperation => ({
  ...{ kind: 'item.set', itemId, set: { done: { from, to: !from } } }
})
const add = (itemId: string, text: string, after: string | null = null): NewOperation => ({
  ...{ kind: 'item.add', itemId, text, after }
})
const remove = (itemId: string, text: string): NewOperation => ({
  ...{ kind: 'item.delete', itemId, seen: { text, done: false, dueOn: null } }
})

t.test('2,000 keystrokes on 50 lines become at most 50 operations', async t => {
  const queue = createQueue(listOf(50))
  for (let n = 0; n < 2000; n++) {
    const itemId = `i${(n * 7919) % 50}`
    const from = queue.working().items.get(itemId)?.text ?? ''
    queue.add({ opId: randomUUID(), ...setText(itemId, from, `${from}${n % 10}`) } as Operation)
    if (n % 3 === 0) {
      const done = queue.working().items.get(itemId)?.done ?? false
      queue.add({ opId: randomUUID(), ...tick(itemId, done) } as Operation)
    }
  }
  t.equal(queue.entries().length, 50)
})

t.test('edits of one item become one operation with the newest id', async t => {
  const last = { opId: 'last', ...setText('i0', 'b', 'c') } as NewOperation
  const { ops } = queueOf(listOf(2), [
    setText('i0', 'item 0', 'b'),
    tick('i0', false),
    setText('i1', 'item 1', 'x'),
    last
  ])
  t.match(ops(), [
    {
      opId: 'last',
      set: { text: { from: 'item 0', to: 'c' }, done: { from: false, to: true } }
    },
    { itemId: 'i1' }
  ])
})

t.test('an edit of a text that the user still sees does not remove what others added', async t => {
  const confirmed = listOf(1)
  const item = { ...(confirmed.items.get('i0') as Item), text: 'the item 0' }
  const live = { ...confirmed, order: [item], items: new Map([[item.id, item]]) }
  const typed = queueOf(live, [setText('i0', 'item 0', 'item 0 a'), setText('i0', 'item 0 a', 'b')])
  t.match(typed.ops(), [{ set: { text: { from: 'item 0', to: 'b' } } }])

  const seen = [setText('i0', 'item 0', 'item 0 a'), setText('i0', 'the item 0 a', 'b')]
  t.match(queueOf(live, seen).ops(), [{ set: { text: { from: 'the item 0', to: 'b' } } }])

  const other = [setText('i0', 'item 0', 'item 0 a'), setText('i0', 'an item', 'an item b')]
  t.equal(queueOf(live, other).ops().length, 2)
  t.equal(queueOf(live, [add('n', 'Milk'), setText('n', 'Bread', 'Rye bread')]).ops().length, 2)
  const rename = (from: string, to: string) => ({ kind: 'list.rename', from, to }) as const
  t.equal(queueOf(live, [rename('List', 'b'), rename('List', 'c')]).ops().length, 2)
})

t.test(
  'whatever is typed in an input that keeps its text, no word of others is removed',
  async t => {
    const step = fc.record({ isForeign: fc.boolean(), at: fc.nat(20), isSeen: fc.boolean() })
    const insert = (text: string, at: number, word: string) => {
      const words = text.split(' ')
      return words.toSpliced(at % (words.length + 1), 0, word).join(' ')
    }
    fc.assert(
      fc.property(fc.array(step, { minLength: 2, maxLength: 12 }), steps => {
        const queue = createQueue(listOf(1))
        let draft = 'item 0'
        const typed: string[] = []
        const foreign: string[] = []
        for (const [n, { isForeign, at, isSeen }] of steps.entries()) {
          const word = `${isForeign ? 'theirs' : 'mine'}${n}`
          if (isForeign) {
            queue.write('i0', text => insert(text, at, word))
            foreign.push(word)
          } else {
            // The input loses the focus, and shows the text of the view.
            if (isSeen) draft = shownItem(queue.working(), 'i0')?.text ?? ''
            const before = draft
            draft = insert(draft, at, word)
            queue.add({ opId: randomUUID(), ...setText('i0', before, draft) } as Operation)
            typed.push(word)
          }
          const live = queue.working().items.get('i0')?.text.split(' ') ?? []
          const kept = [...queue.working().conflicts.values()].map(({ theirs }) => `${theirs}`)
          const all = [...live, ...kept.join(' ').split(' ')]
          if (
            !foreign.every(word => live.includes(word)) ||
            !typed.every(word => all.includes(word))
          )
            throw new Error(`${live.join(' ')} | ${kept.join(' | ')}`)
        }
      }),
      { numRuns: 1000 }
    )
    t.pass()
  }
)

t.test('an edit that is taken back disappears', async t => {
  const back = setText('i0', 'b', 'item 0')
  t.strictSame(queueOf(listOf(1), [setText('i0', 'item 0', 'b'), back]).ops(), [])
  t.strictSame(queueOf(listOf(1), [tick('i0', false), tick('i0', true)]).ops(), [])
  const rename = (from: string, to: string) => ({ kind: 'list.rename', from, to }) as const
  t.strictSame(queueOf(listOf(1), [rename('List', 'b'), rename('b', 'List')]).ops(), [])
})

t.test('an edit becomes part of the operation that adds the item', async t => {
  t.match(
    queueOf(listOf(1), [add('new', 'a'), tick('i0', false), setText('new', 'a', 'b')]).ops(),
    [{ kind: 'item.add', items: [{ text: 'b' }] }, { kind: 'item.set' }]
  )
  const items = [
    { itemId: 'x', text: 'a' },
    { itemId: 'y', text: 'b' }
  ]
  t.match(queueOf(listOf(1), [{ kind: 'item.add', items, after: null }, tick('y', false)]).ops(), [
    { items: [items[0], { ...items[1], done: true }] }
  ])
})

t.test('an item that is added and deleted disappears', async t => {
  t.strictSame(queueOf(listOf(1), [add('new', 'a'), remove('new', 'a')]).ops(), [])
  const items = [
    { itemId: 'x', text: 'a' },
    { itemId: 'y', text: 'b' }
  ]
  const added: NewOperation = { kind: 'item.add', items, after: null }
  t.match(queueOf(listOf(1), [added, remove('y', 'b')]).ops(), [{ items: [items[0]] }])
  t.strictSame(queueOf(listOf(1), [added, remove('y', 'b'), remove('x', 'a')]).ops(), [])
})

t.test('an item below which another one is put does not disappear', async t => {
  for (const between of [
    add('other', 'b', 'new'),
    { kind: 'item.move', itemId: 'i0', after: 'new' }
  ])
    t.equal(
      queueOf(listOf(1), [add('new', 'a'), between as NewOperation, remove('new', 'a')]).ops()
        .length,
      3
    )
})

t.test('operations that do not commute are not combined', async t => {
  const first = setText('i0', 'item 0', 'b')
  const second = setText('i0', 'b', 'c')
  const between: NewOperation[] = [
    { kind: 'list.restoreTo', rev: 1, seenRev: 1 },
    { kind: 'list.restore' },
    remove('i0', 'b')
  ]
  for (const op of between) t.equal(queueOf(listOf(1), [first, op, second]).ops().length, 3)
})

t.test('an invalid or a sent operation is not combined', async t => {
  const queue = queueOf(listOf(1), [setText('i0', 'item 0', 'b'), setText('i0', 'b', ' ')])
  t.equal(queue.ops().length, 2)
  const op = { opId: randomUUID(), ...setText('i0', 'item 0', 'b') } as Operation
  const sent = [entryOf(0, op, true)]
  const next = { opId: randomUUID(), ...setText('i0', 'b', 'c') } as Operation
  t.equal(combine(sent, replay(listOf(1), sent, me), next), undefined)
})

t.test('words of others that were merged do not become words of this user', async t => {
  const confirmed = listOf(1)
  const [item] = confirmed.order as [Item]
  const text = { from: 'Buy milk', to: 'Buy oat milk' }
  const changed = { ...item, text: 'Buy milk and bread now' }
  const live = { ...confirmed, order: [changed], items: new Map([[item.id, changed]]) }
  const op = { opId: 'a', kind: 'item.set', itemId: 'i0', set: { text } } as Operation
  const entries = [entryOf(0, op)]
  const working = replay(live, entries, me)
  t.equal(working.predictions.get('a')?.outcome, 'merged')
  const shown = 'Buy oat milk and bread now'
  const next = { opId: 'b', ...setText('i0', shown, `${shown}!`) } as Operation
  t.match(combine(entries, working, next), {
    into: { set: { text: { from: 'Buy milk and bread now', to: `${shown}!` } } }
  })
})

t.test('an edit that will be kept in a conflict still starts where it started', async t => {
  const confirmed = listOf(1)
  const [item] = confirmed.order as [Item]
  const changed = { ...item, text: 'Call Carol' }
  const live = { ...confirmed, order: [changed], items: new Map([[item.id, changed]]) }
  const first = { opId: 'a', ...setText('i0', 'Call Bob', 'Call Alice') } as Operation
  const entries = [entryOf(0, first)]
  const next = { opId: 'b', ...setText('i0', 'Call Alice', 'Call Alice now') } as Operation
  t.match(combine(entries, replay(live, entries, me), next), {
    into: { set: { text: { from: 'Call Bob', to: 'Call Alice now' } } }
  })
})

const start = ['Buy milk and bread', 'Call Bob about the rent', 'Pay 100 EUR']

t.test('without foreign writes, combined operations end where all of them end', async t => {
  const app = await build(t)
  let saved = 0
  await fc.assert(
    fc.asyncProperty(fc.array(numbers, { minLength: 4, maxLength: 25 }), async moves => {
      const one = await openList(app, start)
      const other = await openList(app, [])
      const queue = createQueue(one.confirmed(), one.ownerId)
      const all: Entry[] = []
      let working = replay(one.confirmed(), all, one.ownerId)
      for (const [n, move] of moves.entries()) {
        const op = operationOf(queue.working(), withoutListOperations(move))
        all.push(entryOf(n, op))
        working = replay(one.confirmed(), all, one.ownerId)
        queue.add(op)
        t.strictSame(viewOf(queue.working()), viewOf(working), 'the view is the same')
      }
      saved += all.length - queue.ops().length
      if (queue.ops().length > 0) await one.submit(one.ownerId, queue.ops() as never)
      // The other list has other ids of the same order, because items at one position are sorted by id.
      const suffix = randomUUID().slice(24)
      const order = one.confirmed().order.map(({ id: itemId, text }) => ({ itemId, text }))
      const first = { opId: randomUUID(), kind: 'item.add', items: order, after: null } as const
      const ops = JSON.stringify([{ ...first, items: order }, ...all.map(({ op }) => op)])
      const translated = ops.replace(/([0-9a-f]{8}(-[0-9a-f]{4}){3}-)[0-9a-f]{12}/g, `$1${suffix}`)
      await other.submit(other.ownerId, JSON.parse(translated))
      const { items, title, isDeleted } = await one.rows()
      const rows = await other.rows()
      const content = (found: Item[]) =>
        found.map(({ text, done, dueOn }) => ({ text, done, dueOn }))
      // Thrown, so that the operations and the seed are printed.
      assert.deepEqual(
        { title, isDeleted, items: content(items) },
        { title: rows.title, isDeleted: rows.isDeleted, items: content(rows.items) },
        JSON.stringify({ all: all.map(({ op }) => op), combined: queue.ops() })
      )
    }),
    { numRuns: 12 }
  )
  t.ok(saved > 10, `${saved} operations saved`)
})

/** Conflicts are left out, because combined edits may merge where a chain of edits conflicts. */
function viewOf(working: Working) {
  const { conflicts: _, ...seen } = seenOf(working)
  return seen
}

/** Deletes no list, because a client makes no other operation on a deleted list than to restore it. */
function withoutListOperations({ what, a, b }: Numbers): Numbers {
  return { what: what < 4 ? 99 : what, a: a % 7, b }
}

t.test('with foreign writes, no text of a combined operation is lost', async t => {
  const app = await build(t)
  const edit = fc.record({ item: fc.nat(2), a: fc.nat(99), b: fc.nat(99), foreign: fc.nat(5) })
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 4, maxLength: 16 }), async edits => {
      const list = await openList(app, start)
      const { ownerId, otherId, submit, confirmed, catchUp, rows } = list
      let entries: Entry[] = []
      for (const [n, { item, a, b, foreign }] of edits.entries()) {
        if (foreign === 0) {
          const theirs = confirmed().order[item]
          const op = operationOf(replay(confirmed(), [], otherId), { what: 90, a: item, b: a })
          if (theirs) await submit(otherId, [op])
          if (b % 2) await catchUp()
        }
        const working = replay(confirmed(), entries, ownerId)
        const op = operationOf(working, { what: 90, a: item, b })
        const combined = combine(entries, working, op)
        if (!combined) entries = [...entries, entryOf(n, op)]
        else
          entries = entries.flatMap(entry => {
            if (entry !== combined.entry) return entry
            return combined.into ? { ...entry, op: combined.into } : []
          })
      }
      for (const { op } of entries) {
        const { outcome } = await list.send(op)
        t.not(outcome, 'rejected')
        if (op.kind !== 'item.set' || !op.set.text) continue
        const { text } = op.set
        const added = text.to.split(' ').filter(word => !text.from.split(' ').includes(word))
        await catchUp()
        const item = confirmed().items.get(op.itemId)
        const kept = [...confirmed().conflicts.values()].filter(
          (conflict: Conflict) => conflict.itemId === op.itemId
        )
        const texts = [item?.text, ...kept.map(({ theirs }) => theirs)].map(String)
        t.ok(
          texts.some(found => added.every(word => found.split(' ').includes(word))),
          `${text.to} is live or kept`
        )
      }
      t.strictSame((await rows()).items.map(withoutPosition).length, start.length)
    }),
    { numRuns: 12 }
  )
})
