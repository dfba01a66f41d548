import fc from 'fast-check'
import t from 'tap'
import { applyChange, type Confirmed } from '../../client/confirmed.ts'
import { applyOne, replay } from '../../client/replay.ts'
import type { Entry } from '../../client/storage.ts'
import { build } from '../support/app.ts'
import {
  entryOf,
  hasMadeRoom,
  type Numbers,
  numbers,
  openList,
  operationOf,
  seenOf,
  stateOf
} from '../support/client-list.ts'

const start = ['Buy milk and bread', 'Call Bob about the rent', 'Pay 100 EUR', 'Water the plants']

t.test('without foreign writes, predictions are what the service decides', async t => {
  const app = await build(t)
  await fc.assert(
    fc.asyncProperty(fc.array(numbers, { minLength: 3, maxLength: 14 }), async moves => {
      const { confirmed, catchUp, send, rows, ownerId } = await openList(app, start)
      const working = replay(confirmed(), [], ownerId)
      const entries: Entry[] = []
      for (const [n, one] of moves.entries()) {
        const entry = entryOf(n, operationOf(working, one))
        applyOne(working, entry)
        entries.push(entry)
        t.strictSame(
          { ...replay(confirmed(), entries, ownerId), confirmed: null },
          { ...working, confirmed: null },
          'the incremental state is the state from scratch'
        )
      }
      const seen = seenOf(working)
      while (entries.length > 0) {
        const [{ op }] = entries as [Entry]
        const { outcome, code } = await send(op)
        const predicted = working.predictions.get(op.opId)
        if (predicted?.outcome) t.strictSame([outcome, code], [predicted.outcome, predicted.code])
        let between = confirmed()
        const changes = await catchUp()
        if (hasMadeRoom(changes)) return
        for (const change of changes) {
          between = applyChange(between, change) as Confirmed
          // Of several changes by one choice in a conflict, the second one may be missing for a moment.
          if (op.kind === 'conflict.resolve') continue
          t.strictSame(seenOf(replay(between, entries, ownerId)), seen, 'no change is seen twice')
        }
        entries.shift()
        t.strictSame(seenOf(replay(confirmed(), entries, ownerId)), seen, 'the view stays')
      }
      t.strictSame(stateOf(working), await rows())
      t.strictSame(stateOf(confirmed()), await rows())
    }),
    { numRuns: 25 }
  )
})

t.test(
  'with foreign writes, predictions on the newest state are what the service decides',
  async t => {
    const app = await build(t)
    const outcomes = new Map<string, number>()
    const move = fc.record({ own: numbers, foreign: numbers, count: fc.nat(2) })
    await fc.assert(
      fc.asyncProperty(fc.array(move, { minLength: 3, maxLength: 12 }), async moves => {
        const { confirmed, catchUp, send, submit, rows, ownerId, otherId, listId } = await openList(
          app,
          start
        )
        const working = replay(confirmed(), [], ownerId)
        const entries: Entry[] = []
        for (const [n, { own }] of moves.entries()) {
          const entry = entryOf(n, operationOf(working, own))
          applyOne(working, entry)
          entries.push(entry)
        }
        for (const [n, entry] of entries.entries()) {
          const { foreign, count } = moves[n] as (typeof moves)[number]
          for (let times = 0; times < count; times++)
            await write({ ...foreign, b: foreign.b + times })
          await catchUp()
          const predicted = replay(confirmed(), [entry], ownerId)
          const { outcome, code } = predicted.predictions.get(entry.op.opId) ?? {}
          const result = await send(entry.op)
          await catchUp()
          outcomes.set(result.outcome, (outcomes.get(result.outcome) ?? 0) + 1)
          if (outcome) {
            t.strictSame([result.outcome, result.code], [outcome, code], JSON.stringify(entry.op))
            t.strictSame(stateOf(predicted), await rows(), JSON.stringify([entry.op, result]))
          }
        }

        async function write(foreign: Numbers) {
          const { order } = confirmed()
          const item = order[foreign.a % (order.length || 1)]
          const sql = app.sql
          if (item && foreign.b % 5 === 0)
            await sql`delete from checklist_items where id = ${item.id}`
          else if (item && foreign.b % 5 === 1)
            await sql`
            update checklist_items
            set text = ${`${item.text} soon`}, done = not done, due_on = '2026-12-12'
            where id = ${item.id}`
          else if (foreign.b % 11 === 2)
            await sql`update checklists set title = 'List of things' where id = ${listId}`
          else await submit(otherId, [operationOf(replay(confirmed(), [], otherId), foreign)])
        }
      }),
      { numRuns: 40 }
    )
    t.comment(Object.fromEntries(outcomes))
    for (const outcome of ['applied', 'merged', 'conflict', 'noop', 'dropped', 'rejected'])
      t.ok(outcomes.has(outcome), outcome)
  }
)
