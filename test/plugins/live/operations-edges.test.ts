import { randomUUID } from 'node:crypto'
import t from 'tap'
import { build } from '../../support/app.ts'
import { insertChecklist, type NewOperation } from '../../support/checklists.ts'

const setText = (itemId: string, from: string, to: string): NewOperation => ({
  kind: 'item.set',
  itemId,
  set: { text: { from, to } }
})

t.test('an opId in upper and in lower case is one operation', async t => {
  const app = await build(t)
  const { submit, addItems, ownerId, read } = await insertChecklist(app)
  const [itemId = ''] = await addItems('Milk')
  const opId = randomUUID()
  const upper = {
    ...setText(itemId.toUpperCase(), 'Milk', 'Oat milk'),
    opId: opId.toUpperCase()
  } as NewOperation
  const lower = { ...setText(itemId, 'Milk', 'Oat milk'), opId } as NewOperation
  t.match(await submit(ownerId, [upper, lower]), [
    { opId: opId.toUpperCase(), outcome: 'applied', rev: 3 },
    { opId, outcome: 'applied', rev: 3, duplicate: true }
  ])
  t.match(await submit(ownerId, [upper]), [{ outcome: 'applied', rev: 3, duplicate: true }])
  t.equal((await read()).rev, 3)
})

t.test('an operation whose expected value is too long is rejected: limit', async t => {
  const app = await build(t)
  const { apply, addItems, read } = await insertChecklist(app)
  const [itemId = ''] = await addItems('Milk')
  const long = 'x'.repeat(2001)
  const seen = { text: long, done: false, dueOn: null }
  const conflictId = randomUUID()
  const operations: NewOperation[] = [
    setText(itemId, long, 'Oat milk'),
    { kind: 'item.delete', itemId, seen },
    { kind: 'list.rename', from: 'x'.repeat(201), to: 'To buy' },
    { kind: 'conflict.resolve', conflictId, choice: 'ours', seen: long }
  ]
  for (const operation of operations) {
    t.match(await apply(operation), { outcome: 'rejected', code: 'limit' }, operation.kind)
  }
  t.match(await read(), { rev: 2, conflicts: [] })
})

t.test('an invalid custom resolution is rejected, the rest of the push applied', async t => {
  const app = await build(t)
  const { apply, addItems, submit, ownerId, users, read } = await insertChecklist(app)
  const [itemId = ''] = await addItems('Milk')
  const due = (from: string | null, to: string): NewOperation => ({
    kind: 'item.set',
    itemId,
    set: { dueOn: { from, to } }
  })
  await apply(due(null, '2026-12-01'))
  await apply(due(null, '2026-12-02'), users[1])
  await apply({ kind: 'list.rename', from: 'List', to: 'Fair' })
  await apply({ kind: 'list.rename', from: 'List', to: 'Fete' }, users[1])
  await apply(setText(itemId, 'Milk', 'Tea'))
  await apply(setText(itemId, 'Milk', 'Rye'), users[1])
  const { conflicts } = await read()
  const of = (field: string) => conflicts.find(conflict => conflict.field === field)
  const custom = (field: string, value: string | null): NewOperation => ({
    kind: 'conflict.resolve',
    conflictId: of(field)?.id as string,
    choice: 'custom',
    value,
    seen: of(field)?.ours as string
  })
  const wrong = [
    ...['soon', 'tomorrow', '2026-02-30', ''].map(value => custom('dueOn', value)),
    ...['x'.repeat(201), 'two\nlines', ' ', 'a\u0000b'].map(value => custom('title', value)),
    custom('title', null),
    custom('text', null),
    custom('text', 'x'.repeat(2001))
  ]
  const results = await submit(ownerId, [...wrong, setText(itemId, 'Tea', 'Green tea')])
  for (const result of results.slice(0, -1)) {
    t.match(result, { outcome: 'rejected', code: 'invalid' })
  }
  t.match(results.at(-1), { outcome: 'applied' })
  t.equal((await read()).conflicts.length, 3, 'all conflicts are still open')
  t.match(await apply(custom('title', '  Summer fair ')), { outcome: 'applied' })
  t.match(await apply(custom('dueOn', null)), { outcome: 'applied' })
  t.match(await read(), { title: 'Summer fair', items: [{ dueOn: null }] })
})

t.test('an operation that changes nothing returns noop', async t => {
  const app = await build(t)
  const { apply, addItems, read, texts, users } = await insertChecklist(app)
  const [a = '', b = '', c = ''] = await addItems('a', 'b', 'c')
  await apply({ kind: 'item.delete', itemId: a, seen: { text: 'a', done: false, dueOn: null } })
  const { rev } = await read()
  t.match(await apply({ kind: 'item.move', itemId: b, after: a }), { outcome: 'noop' })
  t.match(await apply({ kind: 'item.move', itemId: b, after: null }), { outcome: 'noop' })
  t.match(await apply({ kind: 'item.move', itemId: c, after: b }), { outcome: 'noop' })
  const known = [a, c].map(itemId => ({ itemId, text: 'x' }))
  t.match(await apply({ kind: 'item.add', items: known, after: null }), { outcome: 'noop' })
  t.match(await apply({ kind: 'list.restoreTo', rev, seenRev: rev }), { outcome: 'noop' })
  t.equal((await read()).rev, rev)
  await apply(setText(b, 'b', 'b and more words'))
  const same = await apply(setText(b, 'b', 'b and more words'), users[1])
  t.match(same, { outcome: 'noop', rev: undefined })
  await apply({ kind: 'item.move', itemId: c, after: a })
  t.strictSame(await texts(), ['c', 'b and more words'])
  const back = await apply({ kind: 'list.restoreTo', rev: rev + 2, seenRev: rev + 2 })
  t.match(back, { outcome: 'noop' })
})

t.test('items are inserted between any positions that plain SQL wrote', async t => {
  const app = await build(t)
  const { apply, addItems, texts, listId } = await insertChecklist(app)
  const [a = '', b = ''] = await addItems('a', 'b')
  const place = (id: string, position: number) =>
    app.sql`update checklist_items set position = ${position} where id = ${id}`
  const run = (after: string | null, ...names: string[]): NewOperation => ({
    kind: 'item.add',
    after,
    items: names.map(text => ({ itemId: randomUUID(), text }))
  })
  const ends: [number, number][] = [
    [-1.7e308, 1.7e308],
    [1e300, 1.0000000000000002e300],
    [0, 5e-324],
    [7, 7],
    [1e15, 1.000000000000001e15],
    [-1e300, -1e299]
  ]
  for (const [low, high] of ends) {
    await app.sql`delete from checklist_items where checklist_id = ${listId} and text not in ('a', 'b')`
    await place(a, low)
    await place(b, high)
    const [first, second] = (await texts()) as [string, string]
    const anchor = first === 'a' ? a : b
    for (const [after, text] of [
      [anchor, 'between'],
      [null, 'top']
    ] as const) {
      t.match(await apply(run(after, `${text} 1`, `${text} 2`)), { outcome: 'applied' })
    }
    const found = await texts()
    t.strictSame(
      found,
      ['top 1', 'top 2', first, 'between 1', 'between 2', second],
      `${low} … ${high}`
    )
  }
})

t.test('an insertion between equal positions moves only few neighbours', async t => {
  const app = await build(t)
  const { apply, addItems, texts, listId } = await insertChecklist(app)
  const names = Array.from({ length: 900 }, (_, n) => `${n}`)
  for (let n = 0; n < 900; n += 200) await addItems(...names.slice(n, n + 200))
  const rows = await app.sql<{ id: string }[]>`
    select id from checklist_items where checklist_id = ${listId} order by position`
  const [left, right] = [rows[449], rows[450]] as { id: string }[]
  await app.sql`
    update checklist_items
    set position = (select position from checklist_items where id = ${left?.id as string})
    where id = ${right?.id as string}`
  const anchor = (left?.id as string) < (right?.id as string) ? left : right
  const operation: NewOperation = {
    kind: 'item.add',
    itemId: randomUUID(),
    text: 'new',
    after: anchor?.id as string
  }
  const result = await apply(operation)
  t.match(result, { outcome: 'applied' })
  const [{ count }] = await app.sql<[{ count: number }]>`
    select count(*) from events where op_id = ${result.opId}`
  t.ok(count < 40, `${count} events`)
  const found = await texts()
  t.equal(found.indexOf('new'), 450)
  t.strictSame(
    found.filter(text => text !== 'new' && text !== '449' && text !== '450'),
    names.filter(text => text !== '449' && text !== '450')
  )
})

t.test('restoring a checklist does not change an item of another checklist', async t => {
  const app = await build(t)
  const [one, other] = [await insertChecklist(app), await insertChecklist(app)]
  const [itemId = ''] = await one.addItems('mine')
  const { rev } = await one.read()
  const seen = { text: 'mine', done: false, dueOn: null }
  await one.apply({ kind: 'item.delete', itemId, seen })
  // Retention deletes the row after 90 days; then the id is used again.
  await app.sql`delete from deleted_items where id = ${itemId}`
  await app.sql`
    insert into checklist_items (id, checklist_id, text) values (${itemId}, ${other.listId}, 'theirs')`
  await one.apply({ kind: 'list.restoreTo', rev, seenRev: rev + 1 })
  t.strictSame(await other.texts(), ['theirs'])
  t.strictSame(await one.texts(), [])
})

t.test('an edit is rejected when its checklist has 200 open conflicts', async t => {
  const app = await build(t)
  const { apply, addItems, submit, users, ownerId, read } = await insertChecklist(app)
  const ids = await addItems(...Array.from({ length: 12 }, (_, n) => `item ${n}`))
  for (const [n, id] of ids.entries()) {
    await apply(setText(id, `item ${n}`, 'live'))
    const operations = Array.from({ length: 18 }, (_, k) => setText(id, `item ${n}`, `kept ${k}`))
    await submit(n % 2 ? ownerId : (users[1] as string), operations)
  }
  t.equal((await read()).conflicts.length, 200)
  const [first = ''] = ids
  t.match(await apply(setText(ids[11] as string, 'item 11', 'one more')), { code: 'limit' })
  t.match(await apply(setText(first, 'live', 'still edited')), { outcome: 'applied' })
})
