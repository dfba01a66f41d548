import { randomUUID } from 'node:crypto'
import t from 'tap'
import type { Change, Line, Notices, Operation } from '../../client/types.ts'
import { fastClock } from '../support/browser.ts'
import { insertMember } from '../support/projects.ts'
import { until } from '../support/until.ts'
import { lineAt, open, shows, startChecklist, textsOf } from './checklist-setup.ts'
import { follow, when } from './client-setup.ts'

t.test('an own change is shown at once, sent and saved', async t => {
  const { client: start, list } = await startChecklist(t)
  const { client, checklist } = await start()
  await open(t, client, checklist)
  const added = checklist.add('Chairs', { dueOn: '2026-12-01' })
  t.strictSame(textsOf(checklist.get()), ['Chairs'])
  t.match(lineAt(checklist, 0), { id: added.ids[0], dueOn: '2026-12-01', mark: 'waiting' })
  t.match(checklist.status.get(), { waiting: 1, sending: 0 })
  t.equal(client.connection.get().unsent, 1)

  const { outcome, rev = 0 } = await added.settled
  t.equal(outcome, 'applied')
  t.ok((checklist.get()?.rev ?? 0) >= rev)
  t.equal(lineAt(checklist, 0).mark, 'saved')
  t.match(checklist.status.get(), { waiting: 0, sending: 0 })
  t.equal(client.connection.get().unsent, 0)

  await checklist.set(added.ids[0] ?? '', { text: ' 12 chairs ', done: true, dueOn: null }).settled
  await checklist.rename('To buy').settled
  t.match(await list.read(), {
    title: 'To buy',
    items: [{ id: added.ids[0], text: ' 12 chairs', done: true, dueOn: null }]
  })
  t.match(checklist.get(), { title: 'To buy', items: await list.read().then(({ items }) => items) })
})

t.test('many lines are added in few operations, in order', async t => {
  const { client: start, list } = await startChecklist(t)
  await list.addItems('first', 'last')
  const { client, checklist } = await start()
  await open(t, client, checklist)
  const texts = Array.from({ length: 450 }, (_, n) => `line ${n}`)
  const added = checklist.add(texts, { after: lineAt(checklist, 0).id })
  t.strictSame(textsOf(checklist.get()), ['first', ...texts, 'last'])
  t.equal(checklist.unsent().length, 3)
  t.equal(added.ids.length, 450)
  const shown = follow(t, checklist)
  await added.settled
  t.ok(shown.every(view => view?.items.length === 452))
  t.strictSame(await list.texts(), ['first', ...texts, 'last'])
})

t.test('lines move, are deleted and restored', async t => {
  const { client: start, list } = await startChecklist(t)
  await list.addItems('a', 'b', 'c')
  const { client, checklist } = await start()
  const { items } = await open(t, client, checklist)
  const [a, b, c] = items.map(({ id }) => id) as [string, string, string]
  checklist.move(c, null)
  t.strictSame(textsOf(checklist.get()), ['c', 'a', 'b'])
  checklist.remove(a.toUpperCase())
  t.strictSame(textsOf(checklist.get()), ['c', 'b'])
  checklist.restore(a)
  t.strictSame(textsOf(checklist.get()), ['c', 'a', 'b'])
  await checklist.remove(b).settled
  await checklist.restore(b).settled
  t.strictSame(await list.texts(), ['c', 'a', 'b'])
})

t.test('a change of nothing settles without an operation', async t => {
  const { client: start, list } = await startChecklist(t)
  await list.addItems('a', 'b')
  const { client, checklist } = await start()
  const { title, items, rev } = await open(t, client, checklist)
  const [a, b] = items as [Line, Line]
  const all = [
    checklist.set(a.id, { text: 'a ', done: false, dueOn: null }),
    checklist.set(a.id, {}),
    checklist.move(b.id, a.id),
    checklist.move(a.id, null),
    checklist.restore(a.id),
    checklist.rename(` ${title}`),
    checklist.undelete()
  ]
  t.strictSame(checklist.unsent(), [])
  for (const sent of all) t.strictSame(await sent.settled, { opId: sent.opId, outcome: 'noop' })
  t.equal((await list.read()).rev, rev)
})

t.test('changes that no service would accept throw and change nothing', async t => {
  const { client: start, list } = await startChecklist(t)
  const { client, checklist } = await start()
  t.throws(() => checklist.add('too early'), { code: 'INVALID' })
  await list.addItems(...Array.from({ length: 1000 }, (_, n) => `${n}`))
  const view = await open(t, client, checklist)
  const [first] = view.items as [Line]
  const invalid = [
    () => checklist.set(first.id, { text: '  ' }),
    () => checklist.set(first.id, { text: 'half \ud800' }),
    () => checklist.set(first.id, { text: 'nul \u0000' }),
    () => checklist.set(first.id, { dueOn: '2026-02-30' }),
    () => checklist.set(randomUUID(), { text: 'a' }),
    () => checklist.move(first.id, first.id),
    () => checklist.move(first.id, randomUUID()),
    () => checklist.remove(randomUUID()),
    () => checklist.rename('two\nlines'),
    () => checklist.resolve(randomUUID(), 'ours')
  ]
  for (const change of invalid) t.throws(change, { code: 'INVALID' })
  t.throws(() => checklist.set(first.id, { text: 'x'.repeat(2001) }), { code: 'TOO_LONG' })
  t.throws(() => checklist.rename('x'.repeat(201)), { code: 'TOO_LONG' })
  t.throws(() => checklist.add('one more'), { code: 'LIMIT' })
  t.equal(checklist.get(), view)
  t.strictSame(checklist.unsent(), [])
})

t.test('changes made offline survive a reload and are sent once', async t => {
  const { client: start, list, proxy, storage, ann } = await startChecklist(t)
  await list.addItems('Chairs', 'Tables')
  const before = await start()
  await open(t, before.client, before.checklist)
  proxy.close()
  await when(before.client.connection, ({ state }) => state !== 'live')
  const { id } = lineAt(before.checklist, 0)
  for (const text of ['12', '12 chairs', '12 white chairs']) before.checklist.set(id, { text })
  before.checklist.add('Candles')
  before.checklist.set(lineAt(before.checklist, 1).id, { done: true })
  const unsent = before.checklist.unsent()
  const shown = before.checklist.get()?.items
  t.ok(unsent.length <= 4)
  t.ok(shown?.every(({ mark }) => mark === 'waiting'))
  const store = await storage.open(ann.id)
  await until(async () => (await store.entries()).length === unsent.length)
  await list.addItems('from Ben')
  await before.client.close()

  await proxy.reopen()
  const after = await start()
  const totals = new Promise<Notices['caughtUp']>(resolve =>
    after.checklist.on('caughtUp', resolve)
  )
  t.teardown(after.checklist.subscribe(() => {}))
  await after.checklist.ready()
  t.match(await totals, { sent: unsent.length, conflicts: 0, changesOfOthers: 1 })
  t.strictSame(after.checklist.unsent(), [])
  t.strictSame(
    (await list.texts()).sort(),
    ['12 white chairs', 'Candles', 'Tables', 'from Ben'].sort()
  )
  const { items } = await list.read()
  t.match(after.checklist.get()?.items, items)
})

t.test('the stored copy is shown at once, also without the service', async t => {
  const { client: start, list, proxy, storage, ann } = await startChecklist(t)
  await list.addItems('Chairs')
  const before = await start()
  const view = await open(t, before.client, before.checklist)
  await until(async () => (await storage.open(ann.id)).checklist(view.id))
  await before.client.close()

  const after = await start()
  proxy.close()
  const copy = await after.checklist.ready()
  t.strictSame(textsOf(copy), ['Chairs'])
  after.checklist.add('Tables')
  t.strictSame(textsOf(after.checklist.get()), ['Chairs', 'Tables'])
  await proxy.reopen()
  await until(async () => (await list.texts()).length === 2)
})

t.test('the first copy of a checklist is stored at once', async t => {
  const { client: start, list, storage, ann } = await startChecklist(t)
  await list.addItems('Chairs')
  const clock = fastClock()
  const { client, checklist } = await start({
    clock: { ...clock, setTimeout: (run, ms) => (ms < 1000 ? clock.setTimeout(run, ms) : () => {}) }
  })
  const { id } = await open(t, client, checklist)
  const copy = await until(async () => (await storage.open(ann.id)).checklist(id))
  t.equal(copy.items[0]?.text, 'Chairs')
})

t.test('edits of two users are merged, and both receive a notice', async t => {
  const { client: start, list, proxy } = await startChecklist(t)
  const [id] = (await list.addItems('Order chairs')) as [string]
  const { client, checklist } = await start()
  await open(t, client, checklist)
  const merged: Notices['merged'][] = []
  const changes: Notices['change'][] = []
  checklist.on('merged', notice => merged.push(notice))
  checklist.on('change', notice => changes.push(notice))
  proxy.hold()
  const sent = checklist.set(id, { text: 'Order white chairs' })
  const set = { text: { from: 'Order chairs', to: 'Order chairs by Friday' } }
  await list.apply({ kind: 'item.set', itemId: id, set })
  const shown = follow(t, checklist)
  proxy.resume()
  t.match(await sent.settled, { outcome: 'merged', value: 'Order white chairs by Friday' })
  t.equal(lineAt(checklist, 0).text, 'Order white chairs by Friday')
  t.ok(
    shown.every(view => view?.items[0]?.text.includes('white')),
    'no flicker'
  )
  await until(() => merged.length === 1)
  t.match(merged[0], { itemId: id, mine: 'Order white chairs' })
  t.strictSame(
    changes.map(({ isMine }) => isMine),
    [false, true]
  )
})

t.test('a conflict is shown in its line until a user decides', async t => {
  const { client: start, list, proxy } = await startChecklist(t)
  const [id, other] = (await list.addItems('Band', 'Cake')) as [string, string]
  const { client, checklist } = await start()
  await open(t, client, checklist)
  const conflicts: Notices['conflict'][] = []
  checklist.on('conflict', notice => conflicts.push(notice))
  proxy.hold()
  const sent = [checklist.set(id, { text: 'Jazz' }), checklist.set(other, { dueOn: '2026-12-01' })]
  for (const [itemId, set] of [
    [id, { text: { from: 'Band', to: 'DJ' } }],
    [other, { dueOn: { from: null, to: '2026-12-24' } }]
  ] as const)
    await list.apply({ kind: 'item.set', itemId, set })
  proxy.resume()
  for (const { settled } of sent) t.match(await settled, { outcome: 'conflict' })
  const [line, cake] = (await shows(checklist, ({ conflicts }) => conflicts.length === 2)).items
  t.match(line, { text: 'DJ', conflicts: [{ ours: 'DJ', theirs: 'Jazz' }] })
  t.equal(client.connection.get().toDecide, 2)
  await until(() => conflicts.length === 2)
  t.ok(conflicts.every(({ isMine }) => isMine))

  const [ofText, ofDay] = [line?.conflicts[0]?.id ?? '', cake?.conflicts[0]?.id ?? '']
  t.throws(() => checklist.resolve(ofText, 'keep'), { code: 'INVALID' })
  t.throws(() => checklist.resolve(ofDay, 'both'), { code: 'INVALID' })
  t.throws(() => checklist.resolve(ofDay, { custom: 'soon' }), { code: 'INVALID' })
  const resolved = [
    checklist.resolve(ofText.toUpperCase(), 'both'),
    checklist.resolve(ofDay, { custom: '2026-12-31' })
  ]
  t.equal(client.connection.get().toDecide, 0)
  for (const { settled } of resolved) t.match(await settled, { outcome: 'applied' })
  t.match((await list.read()).items, [
    { text: 'DJ' },
    { text: 'Jazz' },
    { text: 'Cake', dueOn: '2026-12-31' }
  ])
})

t.test('dropped and rejected operations are reported', async t => {
  const { client: start, list, proxy } = await startChecklist(t)
  const [id, other] = (await list.addItems('Band', 'Cake')) as [string, string]
  const { client, checklist } = await start()
  await open(t, client, checklist)
  const notices: unknown[] = []
  for (const type of ['dropped', 'rejected'] as const)
    checklist.on(type, ({ op }) => notices.push([type, op.kind]))
  proxy.hold()
  checklist.set(id, { done: true })
  const deleted = checklist.delete()
  const seen = { text: 'Band', done: false, dueOn: null }
  await list.apply({ kind: 'item.delete', itemId: id, seen })
  await list.apply({
    kind: 'item.set',
    itemId: other,
    set: { done: { from: false, to: true } }
  })
  t.equal(checklist.get()?.access, 'deleted')
  proxy.resume()
  t.match(await deleted.settled, { outcome: 'rejected', code: 'changed_since' })
  await until(() => notices.length === 2)
  t.strictSame(notices, [
    ['dropped', 'item.set'],
    ['rejected', 'list.delete']
  ])
  await shows(checklist, ({ access, items }) => access === 'write' && items.length === 1)
})

t.test('a removed member keeps unsent changes, which are sent after the return', async t => {
  const { app, client: start, list, proxy, ann } = await startChecklist(t)
  const [id] = (await list.addItems('Band')) as [string]
  const { client, checklist } = await start()
  await open(t, client, checklist)
  proxy.hold()
  const sent = checklist.set(id, { text: 'Jazz band' })
  await app.sql`delete from project_members where user_id = ${ann.id}`
  proxy.resume()
  await shows(checklist, ({ access }) => access === 'removed')
  t.throws(() => checklist.add('late'), { code: 'READ_ONLY' })
  t.strictSame(
    checklist.unsent().map(({ opId }) => opId),
    [sent.opId]
  )
  t.strictSame(textsOf(checklist.get()), ['Jazz band'])
  t.match(client.connection.get(), { unsent: 1, held: 1 })

  await insertMember(app.sql, list.projectId, ann.id)
  t.match(await sent.settled, { opId: sent.opId, outcome: 'applied' })
  await shows(checklist, ({ access }) => access === 'write')
  t.strictSame(await list.texts(), ['Jazz band'])
  t.match(client.connection.get(), { unsent: 0, held: 0 })
})

t.test('a viewer reads, also when the role changed while offline', async t => {
  const { app, client: start, list, proxy, ann } = await startChecklist(t)
  await list.addItems('Band')
  const { client, checklist } = await start()
  await open(t, client, checklist)
  const setRole = (role: string) =>
    app.sql`update project_members set role = ${role} where user_id = ${ann.id}`
  await setRole('viewer')
  await shows(checklist, ({ access }) => access === 'read')
  t.throws(() => checklist.add('late'), { code: 'READ_ONLY' })
  await setRole('editor')
  await shows(checklist, ({ access }) => access === 'write')

  proxy.close()
  await when(client.connection, ({ state }) => state !== 'live')
  await setRole('viewer')
  const sent = checklist.add('Cake')
  await proxy.reopen()
  await shows(checklist, ({ access }) => access === 'read')
  t.equal(checklist.unsent().length, 1)
  await setRole('editor')
  t.match(await sent.settled, { outcome: 'applied' })
})

t.test('a deleted checklist can be undeleted, and its changes follow', async t => {
  const { client: start, list, proxy } = await startChecklist(t)
  const [id] = (await list.addItems('Band')) as [string]
  const { client, checklist } = await start()
  await open(t, client, checklist)
  proxy.hold()
  const sent = checklist.set(id, { text: 'Jazz band' })
  await list.apply({ kind: 'list.delete', seenRev: 1, force: true })
  proxy.resume()
  await shows(checklist, ({ access }) => access === 'deleted')
  t.throws(() => checklist.add('late'), { code: 'READ_ONLY' })
  t.match(await checklist.undelete().settled, { outcome: 'applied' })
  t.match(await sent.settled, { outcome: 'applied' })
  await shows(checklist, ({ access }) => access === 'write')
  t.strictSame(await list.texts(), ['Jazz band'])
})

t.test('a checklist that was deleted before it was opened can be undeleted', async t => {
  const { client: start, list } = await startChecklist(t)
  await list.addItems('Band')
  await list.apply({ kind: 'list.delete', seenRev: 1, force: true })
  const { checklist } = await start()
  t.teardown(checklist.subscribe(() => {}))
  await t.rejects(checklist.ready(), { code: 'CHECKLIST_DELETED' })
  await checklist.undelete().settled
  t.strictSame(textsOf(await shows(checklist, () => true)), ['Band'])
})

t.test('an unknown checklist is an error', async t => {
  const { client: start } = await startChecklist(t)
  const { client } = await start()
  const checklist = client.checklist(randomUUID())
  await t.rejects(checklist.ready(), { code: 'CHECKLIST_NOT_FOUND' })
  t.match(checklist.error.get(), { code: 'CHECKLIST_NOT_FOUND' })
  t.equal(checklist.get(), undefined)
  await t.rejects(client.checklist(randomUUID()).ready({ signal: AbortSignal.abort() }), {
    code: 'ABORTED'
  })
})

t.test('people are shown once, in the line that they edit', async t => {
  const { client: start, benClient, list, ann, ben } = await startChecklist(t)
  const [id] = (await list.addItems('Band')) as [string]
  const { client, checklist } = await start()
  await open(t, client, checklist)
  const others = [await benClient(), await benClient(), await start()]
  for (const other of others) await open(t, other.client, other.checklist)
  await shows(checklist, ({ people }) => people.length === 2)
  others[0]?.checklist.show({ itemId: id, field: 'text', caret: 1e9, draft: 'Jazz \ud800' })
  const { people, items } = await shows(checklist, ({ items }) => items[0]?.people.length)
  t.same(
    people.map(({ userId, isMe }) => [userId, isMe]).sort(),
    [
      [ann.id, true],
      [ben.id, false]
    ].sort()
  )
  t.match(items[0]?.people, [
    { userId: ben.id, name: 'Ben', state: { itemId: id, caret: 10_000, draft: 'Jazz ' } }
  ])
  others[0]?.checklist.show(null)
  await shows(checklist, ({ items }) => items[0]?.people.length === 0)
  for (const other of others) await other.client.close()
  await shows(checklist, ({ people }) => people.length === 0)
})

t.test('the history is read backwards, also of one line', async t => {
  const { app, client: start, list } = await startChecklist(t)
  const ids = await list.addItems(...Array.from({ length: 30 }, (_, n) => `${n}`))
  const { client, checklist } = await start()
  await open(t, client, checklist)
  for (const done of [true, false, true]) await checklist.set(ids[3] ?? '', { done }).settled
  const all: Change[] = []
  let more = true
  while (more) {
    const page = await checklist.history({ before: all[0]?.rev, limit: 10 })
    all.unshift(...page.changes)
    more = page.more
  }
  const { rev } = await list.read()
  t.strictSame(
    all.map(change => change.rev),
    Array.from({ length: rev }, (_, n) => n + 1)
  )
  const ofItem = await checklist.history({ itemId: ids[3], limit: 3 })
  t.match(ofItem, { more: true, changes: [{ itemId: ids[3] }, {}, { rev }] })
  t.equal((await checklist.history({ itemId: ids[3] })).more, false)

  await app.sql`delete from events where checklist_id = ${list.listId} and rev <= 20`
  const kept = await checklist.history({ limit: 500 })
  t.equal(kept.more, false)
  t.equal(kept.changes[0]?.rev, 21)
  t.equal((await checklist.history({ itemId: ids[3] })).changes.length, 3)
})

t.test('views are immutable, and unchanged lines stay the same objects', async t => {
  const { client: start, list } = await startChecklist(t)
  const [id] = (await list.addItems('a', 'b')) as [string]
  const { client, checklist } = await start()
  const before = await open(t, client, checklist)
  await checklist.set(id, { text: 'c' }).settled
  const after = checklist.get()
  t.equal(before.items[0]?.text, 'a')
  t.equal(after?.items[0]?.text, 'c')
  t.equal(after?.items[1], before.items[1])
  t.equal(after?.people, before.people)
})

t.test('another user of the same client sees only their own data', async t => {
  const { client: start, list, ben, proxy } = await startChecklist(t)
  await list.addItems('secret')
  const { client, checklist } = await start()
  await open(t, client, checklist)
  proxy.hold()
  const sent = checklist.add('mine')
  proxy.resume()
  await client.signOut()
  t.equal(checklist.get(), undefined)
  t.strictSame(checklist.unsent(), [])
  t.match(await sent.settled, { opId: sent.opId })
  const other = list.projectId
  t.ok(other)
  await client.signIn(ben)
  await shows(checklist, ({ role }) => role === 'editor')
})

t.test('a checklist without subscribers closes, and opens again', async t => {
  const { client: start, list } = await startChecklist(t)
  await list.addItems('a')
  const { client, checklist } = await start()
  const stop = checklist.subscribe(() => {})
  await checklist.ready()
  await when(client.connection, ({ state }) => state === 'live')
  stop()
  const added = checklist.add('b')
  await added.settled
  t.strictSame(textsOf(checklist.get()), ['a', 'b'])
  await list.addItems('c')
  t.strictSame(textsOf(await shows(checklist, ({ items }) => items.length === 3)), ['a', 'b', 'c'])
  checklist[Symbol.dispose]()
  t.equal(checklist.get(), undefined)
  t.not(client.checklist(list.listId), checklist)
})

t.test('undo and redo are new operations', async t => {
  const { client: start, list } = await startChecklist(t)
  const { client, checklist } = await start()
  await open(t, client, checklist)
  t.equal(checklist.undo(), null)
  const [id = ''] = checklist.add('Chairs').ids
  await checklist.set(id, { text: 'Chairs' }).settled
  checklist.set(id, { done: true })
  t.match(checklist.status.get(), { canUndo: true, canRedo: false })
  await checklist.undo()?.settled
  t.equal(lineAt(checklist, 0).done, false)
  t.match(checklist.status.get(), { canUndo: true, canRedo: true })
  await checklist.undo()?.settled
  t.strictSame(await list.texts(), [])
  await checklist.redo()?.settled
  await checklist.redo()?.settled
  t.match((await list.read()).items, [{ id, text: 'Chairs', done: true }])
})

t.test('operations are sent with the values that the user saw', async t => {
  const { client: start, list, proxy } = await startChecklist(t)
  const [id] = (await list.addItems('a')) as [string]
  const { client, checklist } = await start()
  await open(t, client, checklist)
  proxy.hold()
  checklist.set(id, { text: 'b' })
  checklist.set(id, { done: true })
  checklist.remove(id)
  const ops = checklist.unsent() as Operation[]
  t.match(ops.at(-1), { kind: 'item.delete', seen: { text: 'b', done: true, dueOn: null } })
  proxy.resume()
  await until(async () => (await list.texts()).length === 0)
})

t.test('tabs show the same, and another one sends what a killed tab left', async t => {
  const { tab, list, proxy } = await startChecklist(t)
  const [id] = (await list.addItems('Chairs')) as [string]
  const [one, two] = [await tab(), await tab()]
  for (const { client, checklist } of [one, two]) await open(t, client, checklist)
  await one.checklist.set(id, { text: '12 chairs' }).settled
  await two.checklist.set(id, { done: true }).settled
  await shows(one.checklist, ({ items }) => items[0]?.done)

  proxy.close()
  await when(two.client.connection, ({ state }) => state !== 'live')
  const sent = [
    one.checklist.set(id, { text: '12 white chairs' }),
    two.checklist.add('Candles'),
    one.checklist.add('Cake')
  ]
  for (const { checklist, client } of [one, two]) {
    await shows(checklist, ({ items }) => items.length === 3)
    await when(client.connection, ({ unsent }) => unsent === 3)
  }
  t.strictSame(two.checklist.unsent(), one.checklist.unsent())
  one.page.kill()
  await proxy.reopen()
  t.match(await sent[1]?.settled, { outcome: 'applied' })
  await when(two.client.connection, ({ unsent }) => unsent === 0)
  t.strictSame((await list.texts()).sort(), ['12 white chairs', 'Cake', 'Candles'])
  t.match(two.checklist.get()?.items, (await list.read()).items)
})

t.test('after a restore of the database, the queue is sent to the new state', async t => {
  const { app, client: start, list, proxy } = await startChecklist(t)
  const [id] = (await list.addItems('Chairs')) as [string]
  const { client, checklist } = await start()
  const { epoch } = await open(t, client, checklist)
  proxy.close()
  await when(client.connection, ({ state }) => state !== 'live')
  const sent = [checklist.add('Tables'), checklist.set(id, { done: true })]
  await app.sql`update log_state set generation = generation + 1`
  await list.addItems('Cake')
  await until(() => app.pubsub.epoch !== epoch)
  await proxy.reopen()
  for (const { settled } of sent) t.match(await settled, { outcome: 'applied' })
  await shows(checklist, view => view.epoch !== epoch && view.items.length === 3)
  t.match(checklist.get()?.items, [{ text: 'Chairs', done: true, mark: 'saved' }, {}, {}])
})

t.test('edits of a lost item, and items below it, are added at the end', async t => {
  const { app, client: start, list, proxy } = await startChecklist(t)
  const [id] = (await list.addItems('Chairs', 'Cake')) as [string]
  const { client, checklist } = await start()
  await open(t, client, checklist)
  proxy.close()
  await when(client.connection, ({ state }) => state !== 'live')
  const below = checklist.add('Tables', { after: id })
  const sent = [
    below,
    checklist.add('Lamps', { after: below.ids[0] as string }),
    checklist.set(below.ids[0] as string, { done: true }),
    checklist.move(below.ids[0] as string, null),
    checklist.set(id, { text: '12 Chairs', dueOn: '2026-12-24' }),
    checklist.set(id, { done: true })
  ]
  // As after a restore from a backup, or when retention has deleted what is known of deleted items.
  await app.sql`delete from checklist_items where id = ${id}`
  await app.sql`delete from deleted_items where id = ${id}`
  await proxy.reopen()
  for (const { settled } of sent) t.match(await settled, { outcome: 'applied' })
  t.strictSame(await list.texts(), ['Tables', 'Cake', '12 Chairs', 'Lamps'])
  await shows(checklist, ({ items }) => items.every(({ mark }) => mark === 'saved'))
  const chairs = { text: '12 Chairs', dueOn: '2026-12-24', done: true }
  t.match(checklist.get()?.items, [{ text: 'Tables', done: true }, {}, chairs, {}])
})
