import fc from 'fast-check'
import t from 'tap'
import {
  applyChanges,
  type Confirmed,
  forget,
  fromSnapshot,
  toData
} from '../../client/confirmed.ts'
import { replay } from '../../client/replay.ts'
import type { Change, ChecklistData } from '../../client/types.ts'
import { build } from '../support/app.ts'
import { applyChange, numbers, openList, operationOf, stateOf } from '../support/client-list.ts'

const item = { id: 'a', text: 'milk', done: false, dueOn: null, position: 1024 }
const snapshot: ChecklistData = {
  ...{ id: 'list', projectId: 'project', title: 'To buy', rev: 5, epoch: 'e', role: 'owner' },
  items: [item, { ...item, id: 'b', position: 2048 }],
  conflicts: []
}

function change(rev: number, rest: Partial<Change> = {}): Change {
  const after = { ...item, text: `milk ${rev}` }
  return {
    ...{ rev, kind: 'item.updated', itemId: 'a', before: item, after },
    ...{ actorId: null, opId: null, source: 'sql', at: '' },
    ...rest
  } as Change
}

t.test('known changes are skipped, a missing change is reported', async t => {
  const confirmed = fromSnapshot(snapshot)
  t.equal(applyChange(confirmed, change(5)), confirmed)
  t.equal(applyChange(confirmed, change(7)), 'gap')
  t.equal(applyChanges(confirmed, [change(6), change(8)]), 'gap')
  const next = applyChanges(confirmed, [change(4), change(5), change(6)]) as Confirmed
  t.equal(next.rev, 6)
  t.equal(next.items.get('a')?.text, 'milk 6')
  t.equal(next.items.get('b'), confirmed.items.get('b'), 'other items are the same objects')
  t.equal(confirmed.items.get('a')?.text, 'milk', 'the former state has not changed')
})

t.test('the parts of an operation land with its changes, until it is forgotten', async t => {
  const opId = 'op'
  const added = change(6, {
    kind: 'item.added',
    itemId: 'c',
    after: { ...item, id: 'c' },
    opId
  } as never)
  const next = applyChanges(fromSnapshot(snapshot), [added, change(7, { opId })]) as Confirmed
  t.strictSame(next.landed.get(opId), ['c', 'a.text'])
  t.equal(forget(next, opId).landed.size, 0)
  t.equal(forget(next, 'other'), next)
})

t.test('only the last 500 operations are remembered', async t => {
  const changes = Array.from({ length: 600 }, (_, n) => change(6 + n, { opId: `op ${n}` }))
  const { landed } = applyChanges(fromSnapshot(snapshot), changes) as Confirmed
  t.equal(landed.size, 500)
  t.ok(landed.has('op 599'))
})

t.test('items that a later snapshot does not contain count as deleted', async t => {
  const before = fromSnapshot(snapshot)
  const { deleted, items } = fromSnapshot({ ...snapshot, items: [] }, before)
  t.equal(items.size, 0)
  t.strictSame([...deleted.keys()], ['a', 'b'])
})

t.test('a list that was deleted with SQL is deleted', async t => {
  const gone = change(6, {
    kind: 'checklist.deleted',
    ...{ itemId: undefined, after: undefined },
    before: { id: 'list', title: 'To buy', deleted: false }
  } as never)
  const next = applyChange(fromSnapshot(snapshot), gone) as Confirmed
  t.equal(next.isDeleted, true)
  t.equal(next.title, 'To buy')
})

t.test('changes of the service give the rows of the service', async t => {
  const app = await build(t)
  await fc.assert(
    fc.asyncProperty(fc.array(numbers, { minLength: 5, maxLength: 25 }), async moves => {
      const { confirmed, catchUp, send, otherId, submit, rows, ownerId } = await openList(app, [
        'Buy milk and bread',
        'Call Bob'
      ])
      for (const [n, one] of moves.entries()) {
        const op = operationOf(replay(confirmed(), [], ownerId), one)
        // Changes arrive only after every third operation, so edits conflict.
        if (n % 2) await send(op)
        else await submit(otherId, [op])
        if (n % 3 === 0) await catchUp()
      }
      await catchUp()
      const state = stateOf(confirmed())
      t.strictSame(state, await rows())
      const data = JSON.parse(JSON.stringify(toData(confirmed())))
      t.strictSame(fromSnapshot(data), confirmed())
    }),
    { numRuns: 8 }
  )
})
