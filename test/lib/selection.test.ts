import t from 'tap'
import { batches } from '../../lib/batches.ts'
import { createSelector } from '../../lib/selection.ts'

const batch = ['red', 'blue', 'red', 'green'].map((topic, pos) => ({ pos, topic, bytes: 10 + pos }))

t.test(
  'each subscriber receives the events of its sets, and equal ones share an array',
  async t => {
    const sets: Record<string, Set<string>> = {
      red: new Set(['Ann', 'Bob', 'Cem', 'Dan']),
      blue: new Set(['Bob', 'Cem'])
    }
    const select = createSelector(batch, ({ topic }) => (sets[topic] ? [sets[topic]] : []))
    const positionsOf = (name: string) => select(name).events.map(({ pos }) => pos)
    t.strictSame(positionsOf('Ann'), [0, 2])
    t.strictSame(positionsOf('Bob'), [0, 1, 2])
    t.strictSame(positionsOf('Eve'), [])
    t.equal(select('Ann').events, select('Dan').events)
    t.equal(select('Bob').events, select('Cem').events)
    t.equal(select('Ann').bytes, 22)
    sets.red?.delete('Bob')
    t.strictSame(positionsOf('Bob'), [1], 'a set is looked up for each subscriber')
  }
)

t.test('a batch ends at a limit, and after an event that must be the last', async t => {
  const split = (limits: { events: number; bytes: number }, last?: number) =>
    [...batches(batch, limits, ({ pos }) => pos === last)].map(part => part.map(({ pos }) => pos))
  t.strictSame(split({ events: 9, bytes: 900 }), [[0, 1, 2, 3]])
  t.strictSame(split({ events: 3, bytes: 900 }), [[0, 1, 2], [3]])
  t.strictSame(split({ events: 9, bytes: 21 }), [
    [0, 1],
    [2, 3]
  ])
  t.strictSame(split({ events: 9, bytes: 900 }, 0), [[0], [1, 2, 3]])
  t.strictSame([...batches([], { events: 1, bytes: 1 })], [])
})
