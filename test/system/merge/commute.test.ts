import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { build } from '../../support/app.ts'
import { insertChecklist, type NewOperation } from '../../support/checklists.ts'

const start = ['Buy milk and bread', 'Call Bob about the rent', 'Water all the plants'] as const

/** An edit of one field of one item. The item has a different id in each checklist. */
interface Edit {
  item: 0 | 1 | 2
  aspect: 'text' | 'done' | 'dueOn' | 'place' | 'below'
  operation(ids: string[]): NewOperation
}

const edit = fc
  .record({
    item: fc.constantFrom(0 as const, 1 as const, 2 as const),
    aspect: fc.constantFrom(
      'text' as const,
      'done' as const,
      'dueOn' as const,
      'place' as const,
      'below' as const
    ),
    word: fc.constantFrom('now', 'soon', 'please'),
    day: fc.integer({ min: 10, max: 28 })
  })
  .map(
    ({ item, aspect, word, day }): Edit => ({
      item,
      aspect,
      operation: ids => operationOf(ids, { item, aspect, word, day })
    })
  )

function operationOf(
  ids: string[],
  { item, aspect, word, day }: { item: number; aspect: Edit['aspect']; word: string; day: number }
): NewOperation {
  const itemId = ids[item] as string
  const text = start[item] as string
  const set = { kind: 'item.set' as const, itemId }
  if (aspect === 'text') return { ...set, set: { text: { from: text, to: `${text} ${word}` } } }
  if (aspect === 'done') return { ...set, set: { done: { from: false, to: true } } }
  if (aspect === 'dueOn') return { ...set, set: { dueOn: { from: null, to: `2026-12-${day}` } } }
  if (aspect === 'place')
    return { kind: 'item.move', itemId, after: item === 0 ? (ids[2] ?? null) : null }
  return { kind: 'item.add', itemId: randomUUID(), text: word, after: itemId }
}

/**
 * Returns whether two edits are independent: they change different fields or different items. The positions of all
 * items count as one field.
 */
function areApart(a: Edit, b: Edit): boolean {
  const isOrder = ({ aspect }: Edit) => aspect === 'place' || aspect === 'below'
  if (isOrder(a) && isOrder(b))
    return a.aspect === 'below' && b.aspect === 'below' && a.item !== b.item
  return a.item !== b.item || a.aspect !== b.aspect
}

t.test('edits of different items or fields give one result in any order', async t => {
  const app = await build(t)
  await fc.assert(
    fc.asyncProperty(edit, edit, async (a, b) => {
      fc.pre(areApart(a, b))
      const outcomes = await Promise.all(
        [
          [a, b],
          [b, a]
        ].map(async order => {
          const { addItems, users, submit, read } = await insertChecklist(app, ['owner', 'editor'])
          const ids = await addItems(...start)
          for (const one of order) {
            const [result] = await submit(users[one === a ? 0 : 1] as string, [one.operation(ids)])
            if (result?.outcome !== 'applied') throw new Error(JSON.stringify(result))
          }
          const { items, conflicts } = await read()
          return { items: items.map(({ text, done, dueOn }) => ({ text, done, dueOn })), conflicts }
        })
      )
      t.strictSame(outcomes[0], outcomes[1])
    }),
    { numRuns: 40 }
  )
})

t.test('two different texts have the same outcome in either order', async t => {
  const app = await build(t)
  const value = fc.constantFrom('Call Alice', 'Call Carol', 'Call Dave about it', 'Phone Bob')
  await fc.assert(
    fc.asyncProperty(value, value, async (a, b) => {
      fc.pre(a !== b)
      const [one, other] = await Promise.all(
        [
          [a, b],
          [b, a]
        ].map(async order => {
          const { addItems, users, submit, read } = await insertChecklist(app, ['owner', 'editor'])
          const [itemId = ''] = await addItems('Call Bob')
          const results = []
          for (const [n, to] of order.entries()) {
            const set = { text: { from: 'Call Bob', to } }
            results.push(...(await submit(users[n] as string, [{ kind: 'item.set', itemId, set }])))
          }
          const { conflicts, items } = await read()
          return {
            outcome: results[1]?.outcome,
            live: items[0]?.text,
            kept: conflicts.map(({ ours, theirs }) => ({ ours, theirs }))
          }
        })
      )
      t.equal(one?.outcome, other?.outcome)
      if (one?.outcome === 'merged') return t.equal(one.live, other?.live)
      t.strictSame(one?.kept, [{ ours: a, theirs: b }])
      t.strictSame(other?.kept, [{ ours: b, theirs: a }])
    }),
    { numRuns: 12 }
  )
})
