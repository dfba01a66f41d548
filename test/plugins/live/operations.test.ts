import { randomUUID } from 'node:crypto'
import t from 'tap'
import { build } from '../../support/app.ts'
import { insertChecklist, type NewOperation } from '../../support/checklists.ts'
import { createDatabase } from '../../support/database.ts'
import { insertMember } from '../../support/projects.ts'
import { createUser } from '../../support/users.ts'

const setText = (itemId: string, from: string, to: string): NewOperation => ({
  kind: 'item.set',
  itemId,
  set: { text: { from, to } }
})

t.test('an operation sent 40 times to two nodes is applied once', async t => {
  const env = { DATABASE_URL: await createDatabase(t) }
  const [app, other] = [await build(t, env), await build(t, env)]
  const { apply, addItems, submit, ownerId, users, read, listId } = await insertChecklist(app)
  const [itemId = ''] = await addItems('Milk')
  const op = { ...setText(itemId, 'Milk', 'Oat milk'), opId: randomUUID() }
  const results = await Promise.all(
    Array.from({ length: 40 }, (_, n) => submit(ownerId, [op], { node: n % 2 ? app : other }))
  )
  const firsts = results.flat().filter(({ duplicate }) => !duplicate)
  t.equal(firsts.length, 1)
  t.match(firsts[0], { outcome: 'applied', rev: 3 })
  for (const [result] of results) t.match(result, { ...firsts[0] })
  t.equal((await read()).rev, 3)

  t.match(await apply({ ...op, set: { text: { from: 'Milk', to: 'Tea' } } } as NewOperation), {
    outcome: 'rejected',
    code: 'op_id_reused'
  })
  t.match(
    await apply(op, users[1]),
    { outcome: 'rejected', code: 'op_id_reused' },
    'the opId is sent by another user'
  )
  const elsewhere = await insertChecklist(app)
  await insertMember(app.sql, elsewhere.projectId, ownerId)
  t.match(
    await submit(ownerId, [op], { list: elsewhere.listId }),
    [{ outcome: 'rejected', code: 'op_id_reused' }],
    'the opId is sent for another checklist'
  )
  t.match(await submit(ownerId, [op, op]), [
    { duplicate: true, rev: 3 },
    { duplicate: true, rev: 3 }
  ])
  const fresh = { ...setText(itemId, 'Oat milk', 'Rye'), opId: randomUUID() }
  t.match(await submit(ownerId, [fresh, fresh]), [
    { outcome: 'applied', rev: 4, duplicate: undefined },
    { outcome: 'applied', rev: 4, duplicate: true }
  ])
  t.equal((await app.sql`select from operations where checklist_id = ${listId}`).length, 3)
})

t.test('a push applies its operations in order and skips rejected ones', async t => {
  const app = await build(t)
  const { addItems, submit, ownerId, read } = await insertChecklist(app)
  const [itemId = ''] = await addItems('Buy milk')
  const results = await submit(ownerId, [
    setText(itemId, 'Buy milk', 'Buy oat milk'),
    setText(itemId, 'Buy milk', 'Buy milk today'),
    setText(itemId, 'Buy milk today', '   '),
    setText(randomUUID(), 'x', 'y'),
    setText(itemId, 'Buy milk today', 'Buy milk today please'),
    { kind: 'item.set', itemId, set: { done: { from: false, to: true } } }
  ])
  t.match(results, [
    { outcome: 'applied', rev: 3 },
    { outcome: 'merged', rev: 4, value: 'Buy oat milk today' },
    { outcome: 'rejected', code: 'invalid' },
    { outcome: 'rejected', code: 'not_found' },
    { outcome: 'merged', rev: 5, value: 'Buy oat milk today please' },
    { outcome: 'applied', rev: 6 }
  ])
  t.match(await read(), { rev: 6, items: [{ text: 'Buy oat milk today please', done: true }] })
})

t.test('a merged result names the author of each part, also when resent', async t => {
  const app = await build(t)
  const { addItems, submit, ownerId, users } = await insertChecklist(app)
  const [itemId = ''] = await addItems('Order 12 chairs')
  await submit(ownerId, [setText(itemId, 'Order 12 chairs', 'Order 12 white chairs')])
  const operation = {
    ...setText(itemId, 'Order 12 chairs', 'Order 12 chairs by Friday'),
    opId: randomUUID()
  }
  const merged = {
    outcome: 'merged',
    value: 'Order 12 white chairs by Friday',
    parts: [
      { length: 9, by: 'base' },
      { length: 6, by: 'live' },
      { length: 6, by: 'base' },
      { length: 10, by: 'wanted' }
    ]
  }
  t.match(await submit(users[1] as string, [operation as NewOperation]), [merged])
  t.match(await submit(users[1] as string, [operation as NewOperation]), [
    { ...merged, duplicate: true }
  ])
})

t.test('1,000 items can be inserted at one place, one more is rejected', async t => {
  const app = await build(t)
  const { addItems, submit, ownerId, apply, read, texts } = await insertChecklist(app)
  const [first = ''] = await addItems('first', 'last')
  for (let from = 0; from < 998; from += 100) {
    const operations = Array.from({ length: Math.min(100, 998 - from) }, (_, n) => ({
      kind: 'item.add' as const,
      itemId: randomUUID(),
      text: `${from + n}`,
      after: first
    }))
    for (const { outcome } of await submit(ownerId, operations))
      if (outcome !== 'applied') t.fail(outcome)
  }
  const newestFirst = Array.from({ length: 998 }, (_, n) => `${997 - n}`)
  t.strictSame(await texts(), ['first', ...newestFirst, 'last'])
  const extra = { kind: 'item.add' as const, itemId: randomUUID(), text: 'x', after: null }
  t.match(await apply(extra), { outcome: 'rejected', code: 'limit' })
  t.equal((await read()).rev, 1001, 'one event for each item and no other')
})

t.test('items added together stay together, also after a deleted item', async t => {
  const app = await build(t)
  const { addItems, apply, texts, listId } = await insertChecklist(app)
  const [a = '', b = '', c = ''] = await addItems('a', 'b', 'c')
  const run = (after: string | null, ...names: string[]): NewOperation => ({
    kind: 'item.add',
    after,
    items: names.map(text => ({ itemId: randomUUID(), text }))
  })
  await apply({ kind: 'item.delete', itemId: b, seen: { text: 'b', done: false, dueOn: null } })
  await apply(run(b, 'x1', 'x2'))
  await apply(run(a, 'y1', 'y2'))
  await apply(run(b, 'z1'))
  t.strictSame(await texts(), ['a', 'y1', 'y2', 'z1', 'x1', 'x2', 'c'])
  await apply({ kind: 'item.restore', itemId: b })
  t.strictSame(await texts(), ['a', 'y1', 'y2', 'b', 'z1', 'x1', 'x2', 'c'])
  await app.sql`
    insert into checklist_items (checklist_id, text, position)
    select ${listId}, 'sql', (position + lead) / 2
    from (select text, position, lead(position) over (order by position) from checklist_items where checklist_id = ${listId}) as place
    where text = 'a'`
  await app.sql`insert into checklist_items (checklist_id, text) values (${listId}, 'end')`
  t.strictSame(await texts(), ['a', 'sql', 'y1', 'y2', 'b', 'z1', 'x1', 'x2', 'c', 'end'])
  t.match(await apply({ kind: 'item.move', itemId: c, after: null }), { outcome: 'applied' })
  t.match(await apply({ kind: 'item.move', itemId: c, after: null }), { outcome: 'noop' })
  t.match(await apply({ kind: 'item.move', itemId: a, after: c }), { outcome: 'noop' })
  t.match(await apply({ kind: 'item.move', itemId: a, after: a }), {
    outcome: 'rejected',
    code: 'invalid'
  })
  t.match(await apply({ kind: 'item.move', itemId: a, after: randomUUID() }), {
    code: 'not_found'
  })
  t.strictSame(await texts(), ['c', 'a', 'sql', 'y1', 'y2', 'b', 'z1', 'x1', 'x2', 'end'])
})

t.test('items can be inserted between positions that SQL has set, however small', async t => {
  const app = await build(t)
  const { apply, texts, listId } = await insertChecklist(app)
  // Twice so many that room is first made among items with the smallest positions of all.
  for (const position of [5e-324, 1e-323]) {
    await app.sql`
      insert into checklist_items (checklist_id, text, position)
      select ${listId}, n, ${position}::float8 from generate_series(1, 20) as n`
  }
  const items = await app.sql<{ id: string; text: string }[]>`
    select id, text from checklist_items where checklist_id = ${listId} order by position, id`
  const [before, after] = [items.slice(0, 20), items.slice(20)]
  const add = { kind: 'item.add' as const, after: before.at(-1)?.id as string }
  t.match(await apply({ ...add, itemId: randomUUID(), text: 'new' }), { outcome: 'applied' })
  const textsOf = (some: { text: string }[]) => some.map(({ text }) => text)
  t.strictSame(await texts(), [...textsOf(before), 'new', ...textsOf(after)])
})

t.test('an invalid operation returns its error code and writes nothing', async t => {
  const app = await build(t)
  const { addItems, apply, submit, users, ownerId, read } = await insertChecklist(app)
  const [itemId = ''] = await addItems('Milk')
  const elsewhere = await insertChecklist(app)
  const [foreign = ''] = await elsewhere.addItems('Theirs')
  const before = await read()
  const seen = { text: 'Milk', done: false, dueOn: null }
  const dueOn = (to: string) => ({
    kind: 'item.set' as const,
    itemId,
    set: { dueOn: { from: null, to } }
  })
  const adding = (text: string, id: string = randomUUID()) => ({
    kind: 'item.add' as const,
    itemId: id,
    text,
    after: null
  })
  const invalid: NewOperation[] = [
    adding(''),
    adding(' \n '),
    adding('a\u0007b'),
    adding('a\u0085b'),
    adding('a\u0000b'),
    adding('taken', foreign),
    { kind: 'item.add', itemId: randomUUID(), after: null },
    { kind: 'item.add', text: 'x', after: null },
    {
      kind: 'item.add',
      itemId: randomUUID(),
      text: 'x',
      items: [{ itemId: randomUUID(), text: 'y' }],
      after: null
    },
    { kind: 'item.add', items: [{ itemId: foreign.toUpperCase(), text: 'y' }], after: foreign },
    dueOn('2026-02-30'),
    dueOn('2026-13-01'),
    dueOn('0000-01-01'),
    dueOn('tomorrow'),
    dueOn('2026-1-1'),
    dueOn("'; drop table users; --"),
    { kind: 'list.rename', from: 'List', to: ' ' },
    { kind: 'list.rename', from: 'List', to: 'two\nlines' },
    { kind: 'list.restoreTo', rev: 99, seenRev: 99 },
    { kind: 'conflict.resolve', conflictId: randomUUID(), choice: 'custom', seen: 'x' },
    { kind: 'conflict.resolve', conflictId: randomUUID(), choice: 'both', seen: 'x' }
  ]
  for (const operation of invalid)
    t.match(
      await apply(operation),
      { outcome: 'rejected', code: 'invalid' },
      JSON.stringify(operation)
    )
  const again = await apply(adding('again', itemId.toUpperCase()))
  t.match(again, { outcome: 'noop' }, 'the id belongs to an item of this checklist')
  for (const text of ['x'.repeat(2001), '😀'.repeat(2001)])
    t.match(await apply(adding(text)), { code: 'limit' })
  t.match(await apply({ kind: 'list.rename', from: 'List', to: 'x'.repeat(201) }), {
    code: 'limit'
  })
  const missing: NewOperation[] = [
    setText(randomUUID(), 'a', 'b'),
    setText(foreign, 'Theirs', 'Mine'),
    { kind: 'item.move', itemId: foreign, after: null },
    { kind: 'item.move', itemId, after: foreign },
    { kind: 'item.delete', itemId: foreign, seen },
    { kind: 'item.restore', itemId: foreign },
    { kind: 'item.add', itemId: randomUUID(), text: 'x', after: foreign },
    { kind: 'conflict.resolve', conflictId: randomUUID(), choice: 'ours', seen: 'x' }
  ]
  for (const operation of missing)
    t.match(
      await apply(operation),
      { outcome: 'rejected', code: 'not_found' },
      JSON.stringify(operation)
    )
  t.match(await apply(setText(itemId, 'Milk', 'Tea'), users[2]), {
    outcome: 'rejected',
    code: 'forbidden'
  })
  t.match(await apply(setText(itemId, 'Milk', 'Tea'), elsewhere.ownerId), {
    outcome: 'rejected',
    code: 'not_found'
  })
  t.match(await submit(ownerId, [setText(itemId, 'Milk', 'Tea')], { list: randomUUID() }), [
    { code: 'not_found' }
  ])
  const { pos: _, ...after } = await read()
  t.match(after, { rev: before.rev, items: before.items, title: 'List' })
  t.match(
    await apply(adding('😀'.repeat(2000))),
    { outcome: 'applied' },
    '2,000 characters of two code units are accepted'
  )
  t.match(await apply(adding('e\u0301  \n')), { outcome: 'applied' })
  t.equal((await read()).items[0]?.text, '\u00e9')
})

t.test('a conflict is extended by its author and resolved only once', async t => {
  const app = await build(t)
  const { addItems, apply, users, read } = await insertChecklist(app, ['owner', 'editor', 'editor'])
  const [, bob = '', eve = ''] = users
  const [itemId = ''] = await addItems('Call Bob')
  await apply(setText(itemId, 'Call Bob', 'Call Alice'))
  const { conflictId } = await apply(setText(itemId, 'Call Bob', 'Call Carol'), bob)
  t.match(await apply(setText(itemId, 'Call Carol', 'Call Carol now'), bob), {
    outcome: 'conflict',
    conflictId
  })
  const opened = {
    id: conflictId,
    field: 'text',
    base: 'Call Bob',
    ours: 'Call Alice',
    theirs: 'Call Carol now',
    theirsBy: bob
  }
  t.match((await read()).conflicts, [{ ...opened, oursBy: users[0], openedRev: 4 }])
  t.match(await apply(setText(itemId, 'Call Bob', 'Call Dave'), eve), { outcome: 'conflict' })
  t.equal((await read()).conflicts.length, 2)
  await apply(setText(itemId, 'Call Alice', 'Call Alfred'))
  t.match((await read()).conflicts, [{ ours: 'Call Alfred' }, { ours: 'Call Alfred' }])

  const resolve = (choice: 'ours' | 'theirs', seen: string): NewOperation => ({
    kind: 'conflict.resolve',
    conflictId: conflictId ?? '',
    choice,
    seen
  })
  t.match(await apply(resolve('theirs', 'Call Alice')), { outcome: 'rejected', code: 'stale' })
  const both = await Promise.all([
    apply(resolve('theirs', 'Call Alfred')),
    apply(resolve('ours', 'Call Alfred'), bob)
  ])
  t.strictSame(both.map(({ outcome }) => outcome).toSorted(), ['applied', 'noop'])
  t.equal(both.find(({ outcome }) => outcome === 'noop')?.code, 'already_resolved')
  const [left] = (await read()).conflicts
  await app.sql`update checklist_items set text = 'Call Dave' where id = ${itemId}`
  t.equal((await read()).conflicts.length, 0, `plain SQL resolves the conflict ${left?.id}`)
})

t.test('an edit is rejected when its item has twenty open conflicts', async t => {
  const app = await build(t)
  const { addItems, apply, users, read } = await insertChecklist(app)
  const [itemId = ''] = await addItems('Call Bob')
  await apply(setText(itemId, 'Call Bob', 'Call Alice'))
  for (let n = 0; n < 20; n++) await apply(setText(itemId, 'Call Bob', `Call ${n}`), users[1])
  const again = await apply(setText(itemId, 'Call Bob', 'Call 7'), users[1])
  t.equal(again.outcome, 'conflict', 'an equal value extends the conflict')
  t.match(await apply(setText(itemId, 'Call Bob', 'Call 21'), users[1]), {
    outcome: 'rejected',
    code: 'limit'
  })
  t.equal((await read()).conflicts.length, 20)
})

t.test('a checklist can be restored to an older and a newer revision', async t => {
  const app = await build(t)
  const { addItems, apply, read, ownerId, users } = await insertChecklist(app)
  const [a = '', b = ''] = await addItems('a', 'b', 'c')
  const { rev: then, items } = await read()
  await apply(setText(a, 'a', 'A'))
  await apply({ kind: 'item.delete', itemId: b, seen: { text: 'b', done: false, dueOn: null } })
  await apply({ kind: 'item.move', itemId: a, after: null })
  await addItems('d')
  await apply({ kind: 'list.rename', from: 'List', to: 'Other' })
  const { rev: now } = await read()
  t.match(await apply({ kind: 'list.restoreTo', rev: then, seenRev: then }, users[1]), {
    code: 'changed_since'
  })
  t.match(await apply({ kind: 'list.restoreTo', rev: then, seenRev: now }, users[1]), {
    outcome: 'applied'
  })
  t.match(await read(), { items, title: 'List' })
  t.equal((await read()).items.length, items.length)
  t.match(await apply({ kind: 'list.restoreTo', rev: now, seenRev: now + 99 }, ownerId), {
    outcome: 'applied'
  })
  t.match(await read(), { title: 'Other', items: [{ text: 'A' }, { text: 'c' }, { text: 'd' }] })
})

t.test('deleting a checklist changed by another user is rejected: changed_since', async t => {
  const app = await build(t)
  const { addItems, apply, submit, users, ownerId, read } = await insertChecklist(app)
  const [itemId = ''] = await addItems('Milk')
  const { rev } = await read()
  await apply(setText(itemId, 'Milk', 'Tea'), users[1])
  const remove = { kind: 'list.delete' as const, seenRev: rev }
  t.match(await apply(remove), { code: 'changed_since' })
  t.match(
    await submit(ownerId, [setText(itemId, 'Tea', 'Coffee'), { ...remove, seenRev: rev + 1 }]),
    [{ outcome: 'applied' }, { outcome: 'applied' }]
  )
  t.match(await apply(remove), { outcome: 'noop' })
  t.match(await apply({ kind: 'list.restore' }), { outcome: 'applied' })
  t.match(await apply({ kind: 'list.restore' }), { outcome: 'noop' })
  t.match(await apply({ ...remove, force: true }), { outcome: 'applied' })
})

t.test('concurrent pushes on two nodes leave no revision gap', async t => {
  const env = { DATABASE_URL: await createDatabase(t) }
  const nodes = [await build(t, env), await build(t, env)]
  const [app] = nodes as [(typeof nodes)[0]]
  const roles = ['owner', ...Array(7).fill('editor')]
  const { addItems, submit, users, listId, read } = await insertChecklist(app, roles)
  const items = await addItems(...Array.from({ length: 10 }, (_, n) => `item ${n}`))
  const before = (await read()).rev
  const outcomes = await Promise.all(
    users.map(async (user, u) => {
      const done = []
      for (let n = 0; n < 30; n++) {
        const itemId = items[(u * 3 + n) % 10] as string
        const other = items[(u + n * 7) % 10] as string
        const operations: NewOperation[] = [
          { kind: 'item.set', itemId, set: { done: { from: n % 2 === 0, to: n % 2 === 1 } } }
        ]
        if (other !== itemId) operations.push({ kind: 'item.move', itemId, after: other })
        done.push(...(await submit(user, operations, { node: nodes[u % 2] })))
        if (u === 0) await app.sql`update checklist_items set done = not done where id = ${other}`
      }
      return done
    })
  )
  t.ok(outcomes.flat().every(({ outcome }) => outcome === 'applied' || outcome === 'noop'))
  const revs = await app.sql<{ rev: number; opId: string | null }[]>`
    select rev, op_id as "opId" from events where checklist_id = ${listId} and rev > ${before} order by rev`
  t.strictSame(
    revs.map(({ rev }) => rev),
    revs.map((_, n) => before + 1 + n)
  )
  const results = outcomes.flat().flatMap(({ rev, opId }) => (rev ? [{ rev, opId }] : []))
  for (const result of results) t.match(revs[result.rev - before - 1], result)
  t.equal((await read()).items.length, 10)
})

t.test('a removed member changes nothing after the removal is committed', async t => {
  const app = await build(t)
  const { addItems, submit, users, projectId, listId } = await insertChecklist(app)
  const editor = users[1] as string
  const [itemId = ''] = await addItems('Milk')
  for (let round = 0; round < 30; round++) {
    const ticks = Array.from({ length: 6 }, (_, n) =>
      submit(editor, [
        { kind: 'item.set', itemId, set: { done: { from: n % 2 === 0, to: n % 2 === 1 } } }
      ])
    )
    await app.sql`delete from project_members where user_id = ${editor}`
    const late = await submit(editor, [setText(itemId, 'Milk', `${round}`)])
    t.match(late, [{ outcome: 'rejected', code: 'forbidden' }])
    await Promise.all(ticks)
    await insertMember(app.sql, projectId, editor)
  }
  const history = await app.sql<{ kind: string; actor: string | null }[]>`
    select kind, actor_id as actor from events
    where checklist_id = ${listId} or user_id = ${editor}
    order by pos`
  let isMember = true
  for (const { kind, actor } of history) {
    if (kind.startsWith('member.')) isMember = kind === 'member.added'
    else if (actor === editor && !isMember) t.fail('a change after the removal')
  }
})

t.test('operations beyond the rate are delayed, then return 429', async t => {
  const app = await build(t, { RATE_LIMIT: 'on' })
  const ann = await createUser(app)
  const { listId, projectId } = await insertChecklist(app)
  await insertMember(app.sql, projectId, ann.id)
  const ops = Array.from({ length: 100 }, () => ({ opId: randomUUID(), kind: 'list.restore' }))
  const push = () =>
    app.inject({
      method: 'POST',
      url: `/checklists/${listId}/ops`,
      headers: ann.headers,
      payload: { ops }
    })
  const first = await push()
  t.equal(first.statusCode, 200)
  const [slow, refused] = await Promise.all([push(), push()])
  t.equal(slow?.statusCode, 200)
  t.match(refused, { statusCode: 429, headers: { 'retry-after': /^\d+$/ } })
  t.match(refused?.json(), { code: 'TOO_OFTEN' })
  t.equal(first.json().results[99].outcome, 'noop')
})

t.test('plain SQL can write only texts that operations can match', async t => {
  const app = await build(t)
  const { apply, read, listId } = await insertChecklist(app)
  const write = (text: string) =>
    app.sql`insert into checklist_items (checklist_id, text) values (${listId}, ${text})`
  for (const text of [
    'e\u0301',
    'x ',
    'x\n',
    'x\u00a0',
    'x\u3000',
    'x\ufeff',
    'a\tb',
    'a\u0085b',
    ' ',
    ''
  ]) {
    await t.rejects(write(text), /checklist_items_text/)
  }
  await write('\u00e9 \u4e70\u725b\u5976\n\ud83d\ude00')
  const { items } = await read()
  const [{ id, text }] = items as [(typeof items)[0]]
  t.match(await apply(setText(id, text.normalize('NFD'), 'Tea')), { outcome: 'applied' })
})
