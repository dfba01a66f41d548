import { randomUUID } from 'node:crypto'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import type { Operation } from '../../../schemas/operation.ts'
import { build, database, listen, person, until } from '../../support/app.ts'
import { desk, type Wish } from '../../support/checklist.ts'
import { openLive } from '../../support/live-clients.ts'

const tick = (itemId: string): Wish => ({
  kind: 'item.set',
  itemId,
  set: { done: { from: false, to: true } }
})

const rename = (itemId: string, from: string, to: string): Wish => ({
  kind: 'item.set',
  itemId,
  set: { text: { from, to } }
})

/** A service, and a psql beside it whose transaction holds what `hold` locks until `release`. */
async function withPsql(t: Test) {
  const url = await database(t)
  const app = await build(t, { DATABASE_URL: url })
  const psql = postgres(url, { max: 1, onnotice: () => {} })
  t.teardown(() => psql.end({ timeout: 1 }))
  return {
    app,
    async hold(lock: (sql: postgres.TransactionSql) => Promise<unknown>) {
      const held = Promise.withResolvers<void>()
      const release = Promise.withResolvers<void>()
      const done = psql.begin(async tx => {
        await lock(tx)
        held.resolve()
        await release.promise
      })
      await held.promise
      return async () => {
        release.resolve()
        await done
      }
    }
  }
}

/** The state of a promise: the value when it is settled, else undefined. */
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

t.test('a row that psql holds delays only the operations that want it', async t => {
  const { app, hold } = await withPsql(t)
  const lists = [await desk(app), await desk(app), await desk(app)]
  const [locked, half, free] = lists as [(typeof lists)[0], (typeof lists)[0], (typeof lists)[0]]
  const [a = ''] = await locked.add('a')
  const [b = '', c = ''] = await half.add('b', 'c')
  const [d = ''] = await free.add('d')
  const release = await hold(async sql => {
    await sql`select from checklist_items where id in (${a}, ${b}) for update`
    await sql`select from checklists where id = ${locked.listId} for update`
  })
  const waiting = [watch(locked.act(tick(a))), watch(half.act(tick(b)))]
  for (let n = 0; n < 20; n++) {
    t.match(await half.act(rename(c, n === 0 ? 'c' : `c ${n - 1}`, `c ${n}`)), {
      outcome: 'applied'
    })
    t.match(await free.act(rename(d, n === 0 ? 'd' : `d ${n - 1}`, `d ${n}`)), {
      outcome: 'applied'
    })
  }
  t.strictSame(waiting, [{}, {}], 'those that want the rows wait')
  await release()
  await until(() => waiting.every(({ value }) => value))
  t.match(waiting, [{ value: { outcome: 'applied' } }, { value: { outcome: 'applied' } }])
})

t.test('an operation that waits 5 s for a row is refused with BUSY', async t => {
  const { app, hold } = await withPsql(t)
  const { add, act, read } = await desk(app)
  const [a = ''] = await add('a')
  const release = await hold(sql => sql`select from checklist_items where id = ${a} for update`)
  const wish = { ...tick(a), opId: randomUUID() } as Wish
  await t.rejects(act(wish), { code: 'BUSY', statusCode: 503 })
  await release()
  t.match(await read(), { items: [{ done: false }] }, 'nothing was written')
  t.match(await act(wish), { outcome: 'applied', duplicate: undefined })
})

t.test('a socket receives BUSY with the time to wait, and goes on', async t => {
  const { app, hold } = await withPsql(t)
  const { add, listId, projectId } = await desk(app)
  const ann = await person(app)
  await app.sql`
    insert into project_members (project_id, user_id, role)
    values (${projectId}, ${ann.id}, 'editor')`
  const [a = '', b = ''] = await add('a', 'b')
  const live = await openLive(t, await listen(t, app), ann.headers)
  const release = await hold(sql => sql`select from checklist_items where id = ${a} for update`)
  const op = { ...tick(a), opId: randomUUID() }
  live.send({ type: 'push', checklistId: listId, ops: [op] })
  const error = await live.next('error')
  t.match(error, { code: 'BUSY', checklistId: listId, retryAfterMs: 2000 })
  const other = { ...tick(b), opId: randomUUID() } as Operation
  t.match(await live.push(listId, other), [{ outcome: 'applied' }])
  await release()
})

t.test('rows that an operation touches besides its item do not stop others', async t => {
  const { app, hold } = await withPsql(t)
  const { add, act, users, ownerId, read, listId } = await desk(app)
  const other = await desk(app)
  const [a = ''] = await add('a')
  const [b = ''] = await other.add('b')
  await act(rename(a, 'a', 'a 1'))
  await act(rename(a, 'a', 'a 2'), users[1])
  t.equal((await read()).conflicts.length, 1)
  const release = await hold(
    sql => sql`select from conflicts where checklist_id = ${listId} for update`
  )
  const waiting = watch(act(rename(a, 'a 1', 'a 3'), ownerId))
  for (let n = 0; n < 20; n++) {
    const from = n === 0 ? 'b' : `b ${n - 1}`
    t.match(await other.act(rename(b, from, `b ${n}`)), { outcome: 'applied' })
  }
  t.strictSame(waiting, {})
  await release()
  await until(() => waiting.value)
  t.match(waiting, { value: { outcome: 'applied' } })
})

t.test('the commit lock in other hands stops writes with BUSY, and no read', async t => {
  const { app, hold } = await withPsql(t)
  const { add, act, read } = await desk(app)
  const [a = ''] = await add('a')
  const release = await hold(
    sql => sql`select pg_advisory_xact_lock(hashtextextended('concord.log', 0))`
  )
  const writes = Array.from({ length: 20 }, (_, n) => watch(act(rename(a, 'a', `${n}`))))
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
  t.match(await act(rename(a, 'a', 'b')), { outcome: 'applied' })
})

t.test('one user with a long queue does not keep others from their turn', async t => {
  const { app } = await withPsql(t)
  const busy = [await desk(app), await desk(app)]
  const [bob] = [await desk(app)]
  const [item = ''] = await bob.add('milk')
  const ownerId = busy[0]?.ownerId as string
  const [second] = busy.slice(1)
  await app.sql`
    insert into project_members (project_id, user_id, role)
    values (${second?.projectId as string}, ${ownerId}, 'editor')`
  for (const { add } of busy) await add(...Array.from({ length: 200 }, (_, n) => `item ${n}`))
  let decided = 0
  const all = Array.from({ length: 400 }, (_, n) => {
    const { submit, listId } = busy[n % 2] as (typeof busy)[0]
    const rev = 1 + (n % 3)
    const wish: Wish = { kind: 'list.restoreTo', rev, seenRev: Number.MAX_SAFE_INTEGER }
    return submit(ownerId, [wish], { list: listId }).then(() => decided++)
  })
  for (let n = 0; n < 5; n++) {
    const from = n === 0 ? 'milk' : `milk ${n - 1}`
    t.match(await bob.act(rename(item, from, `milk ${n}`)), { outcome: 'applied' })
  }
  t.ok(decided < 200, `another user was served after ${decided} of 400`)
  await Promise.all(all)
})

t.test('an operation that PostgreSQL fails on is invalid, its neighbours are decided', async t => {
  const { app } = await withPsql(t)
  const { submit, add, ownerId, read, listId } = await desk(app)
  const [a = '', b = ''] = await add('a', 'b')
  // A constraint of the operator's own that the service does not know of.
  await app.sql`
    alter table checklist_items add constraint no_x check (text <> 'x')`
  const results = await submit(ownerId, [rename(a, 'a', 'x'), rename(b, 'b', 'c'), tick(a)])
  t.match(results, [
    { outcome: 'rejected', code: 'invalid' },
    { outcome: 'applied' },
    { outcome: 'applied' }
  ])
  t.match(await read(), { id: listId, items: [{ text: 'a', done: true }, { text: 'c' }] })
})
