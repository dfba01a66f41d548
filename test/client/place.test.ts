import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { indexOf, isAbove, placeBelow, putItem, type Rows } from '../../client/place.ts'
import type { Item } from '../../client/types.ts'
import { build } from '../support/app.ts'
import { insertChecklist } from '../support/checklists.ts'

const position = fc.oneof(
  fc.integer({ min: -5, max: 5 }),
  fc.integer({ min: -9, max: 9 }).map(n => n * 1024),
  fc.double({ min: -1e17, max: 1e17, noNaN: true }),
  fc.constantFrom(1e15, 1e15 + 1, 1e-200, 2e-200, 1 + 2 ** -52, 1 + 2 ** -40, 1 + 2 ** -46)
)

const rowsOf = (items: Item[]): Rows => {
  const rows: Rows = { items: new Map(), order: [], deleted: new Map() }
  for (const item of items) putItem(rows, item)
  return rows
}

const itemAt = (position: number, id: string = randomUUID()): Item => ({
  ...{ id, text: 'x', done: false, dueOn: null, position }
})

t.test('positions are those of the function place_below', async t => {
  const app = await build(t)
  const { sql } = app
  const { listId } = await insertChecklist(app, ['owner'])
  const query = fc.record({
    anchor: fc.nat(9),
    many: fc.constantFrom(1, 1, 2, 7, 200),
    mover: fc.nat(9)
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(position, { minLength: 1, maxLength: 6 }),
      fc.array(position, { maxLength: 2 }),
      fc.array(query, { minLength: 8, maxLength: 8 }),
      async (live, gone, queries) => {
        const rows = rowsOf(live.map(position => itemAt(position)))
        const deleted = gone.map(position => itemAt(position))
        for (const item of deleted) rows.deleted.set(item.id, item)
        const all = [...rows.order, ...deleted]
        await sql`delete from checklist_items where checklist_id = ${listId}`
        await sql`
          insert into checklist_items (id, checklist_id, text, position)
          select id, ${listId}, 'x', position
          from unnest(${all.map(({ id }) => id)}::uuid[], ${all.map(({ position }) => position)}::float8[])
            as item (id, position)`
        await sql`delete from checklist_items where id = any (${deleted.map(({ id }) => id)}::uuid[])`
        await sql
          .begin(async sql => {
            for (const { anchor, many, mover: moverIndex } of queries) {
              const after = [null, ...all.map(({ id }) => id)][anchor % (all.length + 1)] ?? null
              const mover = rows.order[moverIndex]?.id
              if (mover !== undefined && (mover === after || many > 1)) continue
              const [expected] = await sql<[{ start: number; step: number }]>`
              select * from place_below(${listId}, ${after}, ${many}, ${mover ?? null})`
              const place = placeBelow(rows, after, many, new Set(mover ? [mover] : []))
              if (place?.fits) {
                const { start, step } = place
                t.strictSame({ start, step }, { ...expected })
              } else {
                // The service has made room, so the positions of the rows have changed.
                break
              }
            }
            throw new Error('rollback')
          })
          .catch(error => {
            if (error.message !== 'rollback') throw error
          })
      }
    ),
    { numRuns: 80 }
  )
})

t.test('an unknown anchor has no place', async t => {
  t.equal(placeBelow(rowsOf([itemAt(1)]), randomUUID(), 1), undefined)
})

t.test('the order is kept while items are put at random places', async t => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(9), position), { maxLength: 40 }), moves => {
      const ids = Array.from({ length: 10 }, () => randomUUID())
      const rows = rowsOf([])
      for (const [n, position] of moves) putItem(rows, itemAt(position, ids[n]))
      const expected = [...rows.items.values()].sort((a, b) => (isAbove(a, b) ? -1 : 1))
      t.strictSame(rows.order, expected)
      for (const [n, item] of rows.order.entries()) t.equal(indexOf(rows.order, item), n)
    })
  )
})
