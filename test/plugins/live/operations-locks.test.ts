import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import type { Operation } from '../../../schemas/operation.ts'
import { build, listen } from '../../support/app.ts'
import { insertChecklist, type NewOperation } from '../../support/checklists.ts'
import { createDatabase, holdLock, openSql } from '../../support/database.ts'
import { openLive } from '../../support/live-client.ts'
import { insertMember } from '../../support/projects.ts'
import { until } from '../../support/until.ts'
import { createUser } from '../../support/users.ts'

const tick = (itemId: string): NewOperation => ({
  kind: 'item.set',
  itemId,
  set: { done: { from: false, to: true } }
})

const rename = (itemId: string, from: string, to: string): NewOperation => ({
  kind: 'item.set',
  itemId,
  set: { text: { from, to } }
})

/** Starts a node and a second connection: `hold` locks rows in a transaction and returns `release`. */
async function withPsql(t: Test) {
  const url = await createDatabase(t)
  const app = await build(t, { DATABASE_URL: url })
  const psql = openSql(t, url)
  return {
    app,
    hold: (lock: Parameters<typeof holdLock>[1]) => holdLock(psql, lock)
  }
}

/** Returns an object that receives the value or the error of a promise when the promise resolves or rejects. */
function watch<T>(promise: Promise<T>) {
  const watched: { value?: T; error?: unknown } = {}
  promise.then(
    value => {
      watched.value = value
    },
    error => {
      watched.error = error
    }
  )
  return watched
}

t.test('a locked row delays only the operations that write it', async t => {
  const { app, hold } = await withPsql(t)
  const lists = [await insertChecklist(app), await insertChecklist(app), await insertChecklist(app)]
  const [locked, half, free] = lists as [(typeof lists)[0], (typeof lists)[0], (typeof lists)[0]]
  const [a = ''] = await locked.addItems('a')
  const [b = '', c = ''] = await half.addItems('b', 'c')
  const [d = ''] = await free.addItems('d')
  const release = await hold(async sql => {
    await sql`select from checklist_items where id in (${a}, ${b}) for update`
    await sql`select from checklists where id = ${locked.listId} for update`
  })
  const waiting = [watch(locked.apply(tick(a))), watch(half.apply(tick(b)))]
  for (let n = 0; n < 20; n++) {
    t.match(await half.apply(rename(c, n === 0 ? 'c' : `c ${n - 1}`, `c ${n}`)), {
      outcome: 'applied'
    })
    t.match(await free.apply(rename(d, n === 0 ? 'd' : `d ${n - 1}`, `d ${n}`)), {
      outcome: 'applied'
    })
  }
  t.strictSame(waiting, [{}, {}], 'operations that need the rows wait')
  await release()
  await until(() => waiting.every(({ value }) => value))
  t.match(waiting, [{ value: { outcome: 'applied' } }, { value: { outcome: 'applied' } }])
})

t.test('an operation that waits 5 s for a row returns BUSY', async t => {
  const { app, hold } = await withPsql(t)
  const { addItems, apply, read } = await insertChecklist(app)
  const [a = ''] = await addItems('a')
  const release = await hold(sql => sql`select from checklist_items where id = ${a} for update`)
  const operation = { ...tick(a), opId: randomUUID() } as NewOperation
  await t.rejects(apply(operation), { code: 'BUSY', statusCode: 503 })
  await release()
  t.match(await read(), { items: [{ done: false }] }, 'nothing was written')
  t.match(await apply(operation), { outcome: 'applied', duplicate: undefined })
})

t.test('a socket receives BUSY with retryAfterMs and stays open', async t => {
  const { app, hold } = await withPsql(t)
  const { addItems, listId, projectId } = await insertChecklist(app)
  const ann = await createUser(app)
  await insertMember(app.sql, projectId, ann.id)
  const [a = '', b = ''] = await addItems('a', 'b')
  const live = await openLive(t, await listen(app), ann.headers)
  const release = await hold(sql => sql`select from checklist_items where id = ${a} for update`)
  const op = { ...tick(a), opId: randomUUID() }
  live.send({ type: 'push', checklistId: listId, ops: [op] })
  const error = await live.next('error')
  t.match(error, { code: 'BUSY', checklistId: listId, retryAfterMs: 2000 })
  const other = { ...tick(b), opId: randomUUID() } as Operation
  t.match(await live.push(listId, other), [{ outcome: 'applied' }])
  await release()
})

t.test('a locked conflict row delays no operation on another checklist', async t => {
  const { app, hold } = await withPsql(t)
  const { addItems, apply, users, ownerId, read, listId } = await insertChecklist(app)
  const other = await insertChecklist(app)
  const [a = ''] = await addItems('a')
  const [b = ''] = await other.addItems('b')
  await apply(rename(a, 'a', 'a 1'))
  await apply(rename(a, 'a', 'a 2'), users[1])
  t.equal((await read()).conflicts.length, 1)
  const release = await hold(
    sql => sql`select from conflicts where checklist_id = ${listId} for update`
  )
  const waiting = watch(apply(rename(a, 'a 1', 'a 3'), ownerId))
  for (let n = 0; n < 20; n++) {
    const from = n === 0 ? 'b' : `b ${n - 1}`
    t.match(await other.apply(rename(b, from, `b ${n}`)), { outcome: 'applied' })
  }
  t.strictSame(waiting, {})
  await release()
  await until(() => waiting.value)
  t.match(waiting, { value: { outcome: 'applied' } })
})

t.test('while the commit lock is held, writes return BUSY and reads continue', async t => {
  const { app, hold } = await withPsql(t)
  const { addItems, apply, read } = await insertChecklist(app)
  const [a = ''] = await addItems('a')
  const release = await hold(
    sql => sql`select pg_advisory_xact_lock(hashtextextended('concord.log', 0))`
  )
  const writes = Array.from({ length: 20 }, (_, n) => watch(apply(rename(a, 'a', `${n}`))))
  while (!writes.every(({ error }) => error)) {
    const { items } = await read()
    if (items[0]?.text !== 'a') t.fail('something was written')
  }
  for (const { error } of writes) t.match(error, { code: 'BUSY' })
  const [backends] = await app.sql<[{ count: number }]>`
    select count(*) from pg_stat_activity where datname = current_database()`
  t.ok(backends.count <= 20, `${backends.count} backends`)
  await release()
  t.match(await read(), { rev: 2, items: [{ text: 'a' }] }, 'nothing was written')
  t.match(await apply(rename(a, 'a', 'b')), { outcome: 'applied' })
})

t.test('400 waiting operations of one user do not delay other users', async t => {
  const { app } = await withPsql(t)
  const busy = [await insertChecklist(app), await insertChecklist(app)]
  const [bob] = [await insertChecklist(app)]
  const [item = ''] = await bob.addItems('milk')
  const ownerId = busy[0]?.ownerId as string
  const [second] = busy.slice(1)
  await insertMember(app.sql, second?.projectId as string, ownerId)
  for (const { addItems } of busy)
    await addItems(...Array.from({ length: 200 }, (_, n) => `item ${n}`))
  let decided = 0
  const all = Array.from({ length: 400 }, (_, n) => {
    const { submit, listId } = busy[n % 2] as (typeof busy)[0]
    const rev = 1 + (n % 3)
    const operation: NewOperation = {
      kind: 'list.restoreTo',
      rev,
      seenRev: Number.MAX_SAFE_INTEGER
    }
    return submit(ownerId, [operation], { list: listId }).then(() => decided++)
  })
  for (let n = 0; n < 5; n++) {
    const from = n === 0 ? 'milk' : `milk ${n - 1}`
    t.match(await bob.apply(rename(item, from, `milk ${n}`)), { outcome: 'applied' })
  }
  t.ok(decided < 200, `another user was served after ${decided} of 400`)
  await Promise.all(all)
})

t.test(
  'an operation that violates an unknown constraint is rejected, others are applied',
  async t => {
    const { app } = await withPsql(t)
    const { submit, addItems, ownerId, read, listId } = await insertChecklist(app)
    const [a = '', b = ''] = await addItems('a', 'b')
    // An operator may add a constraint that the service does not know.
    await app.sql`
    alter table checklist_items add constraint no_x check (text <> 'x')`
    const results = await submit(ownerId, [rename(a, 'a', 'x'), rename(b, 'b', 'c'), tick(a)])
    t.match(results, [
      { outcome: 'rejected', code: 'invalid' },
      { outcome: 'applied' },
      { outcome: 'applied' }
    ])
    t.match(await read(), { id: listId, items: [{ text: 'a', done: true }, { text: 'c' }] })
  }
)
