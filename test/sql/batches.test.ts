import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import type { Operation } from '../../schemas/operation.ts'
import { readAfter } from '../../sql/log.ts'
import { applyOperations, type Entry } from '../../sql/operations.ts'
import { build } from '../support/app.ts'
import { insertChecklist, type NewOperation } from '../support/checklists.ts'
import { createDatabase } from '../support/database.ts'

type List = Awaited<ReturnType<typeof insertChecklist>>

const ticked = { done: { from: false, to: true } }

async function setUp(t: Test, ...texts: string[]) {
  const app = await build(t, { DATABASE_URL: await createDatabase(t) })
  const list = await insertChecklist(app)
  return { app, list, items: await list.addItems(...texts) }
}

/** Returns an entry of a batch; each is a job of its own unless `rest` has a `job`. */
function entryOf(list: List, operation: NewOperation, rest: Partial<Entry> = {}): Entry {
  return {
    job: Math.random(),
    actor: list.ownerId,
    list: list.listId,
    source: 'ws',
    digest: randomUUID(),
    op: { opId: randomUUID(), ...operation } as Operation,
    ...rest
  }
}

const set = (itemId: string | undefined, set: object) =>
  ({ kind: 'item.set', itemId, set }) as NewOperation

async function eventsAfter(app: FastifyInstance, pos: number) {
  return (await readAfter(app.sql, pos, { rows: 1000, bytes: 1 << 30 })).events
}

t.test('operations of several clients in one batch are decided one by one', async t => {
  const { app, list, items } = await setUp(t, 'a', 'b', 'c', 'd', 'e', 'f', 'g')
  const [a, b, c, d, e, f, g] = items
  const [owner, editor, viewer] = list.users as [string, string, string]
  const other = await insertChecklist(app)
  const deleted = await insertChecklist(app)
  const [gone] = await deleted.addItems('gone')
  await deleted.apply({ kind: 'list.delete', seenRev: 2 })
  const head = (await eventsAfter(app, 0)).at(-1)?.pos ?? 0

  const tick = entryOf(list, set(a, ticked), { actor: editor })
  const rename = entryOf(list, set(b, { text: { from: 'b', to: 'b 2' } }), { source: 'http' })
  const unknown = entryOf(list, set(d, { text: { from: 'x', to: 'y' } }))
  const batch = [
    tick,
    rename,
    entryOf(list, set(c, ticked), { actor: viewer }),
    entryOf(list, set(a, { done: { from: true, to: false } })),
    unknown,
    tick,
    { ...entryOf(list, set(c, ticked)), op: { ...set(c, ticked), opId: rename.op.opId } as never },
    entryOf(list, set(c, ticked), { job: unknown.job }),
    entryOf(list, set(c, ticked), { actor: other.ownerId }),
    entryOf(other, set(c, ticked)),
    entryOf(deleted, set(gone, ticked)),
    entryOf(list, set(e, { dueOn: { from: null, to: '2026-05-01' } })),
    entryOf(list, set(f, { text: { from: 'f', to: 'f' } })),
    entryOf(list, set(g, { done: { from: true, to: false } }))
  ]
  const { pos, results } = await applyOperations(app.sql, batch)
  t.match(results, [
    { outcome: 'applied', wrote: { events: 1 } },
    { outcome: 'applied', wrote: { events: 1 } },
    { outcome: 'rejected', code: 'forbidden' },
    { outcome: 'applied', wrote: { events: 1 } },
    { needs: 'd' },
    {
      outcome: 'applied',
      duplicate: true,
      rev: results[0] && 'rev' in results[0] && results[0].rev
    },
    { outcome: 'rejected', code: 'op_id_reused' },
    null,
    { outcome: 'rejected', code: 'not_found', hidden: true },
    { outcome: 'rejected', code: 'not_found' },
    { outcome: 'rejected', code: 'list_deleted' },
    { outcome: 'applied', wrote: { events: 1 } },
    { outcome: 'noop' },
    { outcome: 'noop' }
  ])

  const events = await eventsAfter(app, head)
  t.equal(events.at(-1)?.pos, pos)
  const opIdOf = (n: number) => batch[n]?.op.opId ?? ''
  const byOperation = new Map(events.map(event => [event.opId, event]))
  t.equal(byOperation.size, events.length)
  t.match(byOperation.get(opIdOf(0)), { itemId: a, actorId: editor, source: 'ws' })
  t.match(byOperation.get(opIdOf(1)), { itemId: b, actorId: owner, source: 'http' })
  t.match(byOperation.get(opIdOf(3)), { itemId: a, actorId: owner, source: 'ws' })
  t.match(byOperation.get(opIdOf(11)), { itemId: e, actorId: owner, source: 'ws' })
  t.equal(events.length, 4)
  for (const n of [0, 1, 3, 11])
    t.match(results[n], { rev: byOperation.get(opIdOf(n))?.rev }, `rev of ${n}`)
  t.match((await list.read()).items, [
    { text: 'a', done: false },
    { text: 'b 2' },
    { text: 'c', done: false },
    { text: 'd' },
    { text: 'e', dueOn: '2026-05-01' },
    { text: 'f' },
    { text: 'g' }
  ])

  const again = await applyOperations(app.sql, batch.slice(0, 2))
  t.match(again.results, [{ duplicate: true }, { duplicate: true }])
  t.equal(again.pos, null)
})

t.test('an edit in a batch updates an open conflict in the name of its author', async t => {
  const { app, list, items } = await setUp(t, 'a', 'b')
  const [a, b] = items
  const [, editor] = list.users
  await list.apply(set(a, { text: { from: 'a', to: 'a 1' } }))
  await list.apply(set(a, { text: { from: 'a', to: 'a 2' } }), editor)
  const { results } = await applyOperations(app.sql, [
    entryOf(list, set(b, ticked)),
    entryOf(list, set(a, { text: { from: 'a 1', to: 'a 3' } }), { actor: editor as string })
  ])
  t.match(results, [{ outcome: 'applied' }, { outcome: 'applied', wrote: { events: 2 } }])
  t.match((await list.read()).conflicts, [{ ours: 'a 3', oursBy: editor, theirs: 'a 2' }])
})

t.test('an operation that PostgreSQL refuses fails no other one of its batch', async t => {
  const { app, list, items } = await setUp(t, 'a', 'b', 'c')
  const [a, b, c] = items
  await app.sql`alter table checklist_items add constraint no_x check (text <> 'x')`
  const { results } = await applyOperations(app.sql, [
    entryOf(list, set(a, ticked)),
    entryOf(list, set(b, { text: { from: 'b', to: 'x' } })),
    entryOf(list, set(c, ticked))
  ])
  t.match(results, [
    { outcome: 'applied', rev: Number },
    { outcome: 'rejected', code: 'invalid', fault: /no_x/ },
    { outcome: 'applied', rev: Number }
  ])
  t.match(await list.read().then(({ items }) => items), [
    { done: true },
    { text: 'b' },
    { done: true }
  ])
})
