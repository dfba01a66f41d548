import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { build, listen } from '../../support/app.ts'
import { insertChecklist } from '../../support/checklists.ts'
import { openLive } from '../../support/live-client.ts'
import { insertMember } from '../../support/projects.ts'
import { openFeed } from '../../support/sse-client.ts'
import { until } from '../../support/until.ts'
import { createUser } from '../../support/users.ts'

/** Makes every job due, and waits until none is. */
async function runJobs(app: FastifyInstance) {
  await app.sql`update jobs set due_at = now()`
  await until(async () => {
    await app.runDueJobs()
    return (await app.sql`select from jobs where due_at <= now()`).length === 0
  })
}

t.test('a cursor of a deleted event receives reset with reason expired', async t => {
  const app = await build(t)
  const { sql } = app
  const url = await listen(app)
  const ann = await createUser(app)
  const { projectId, addItems, read, listId } = await insertChecklist(app)
  const stream = await openFeed(t, url, ann.headers)
  const { id: early } = await stream.next('ready')
  await insertMember(sql, projectId, ann.id)
  await addItems('Milk')
  const { id: late } = await stream.next('item.added')
  await sql`update events set at = at - interval '8 days' where kind <> 'item.added'`
  const before = await read()

  await runJobs(app)
  const left = await sql`select kind from events order by pos`
  t.strictSame(
    left.map(({ kind }) => kind),
    ['checklist.created', 'item.added'],
    'the history of the checklist is kept'
  )
  const reset = await openFeed(t, url, ann.headers, { cursor: early })
  t.match((await reset.next('reset')).data, { reason: 'expired' })
  const resumed = await openFeed(t, url, ann.headers, { cursor: late })
  t.equal((await resumed.next('ready')).id, late)
  t.notOk(resumed.events.some(({ event }) => event === 'reset'))
  t.match(await read(), { items: before.items, rev: before.rev })
  t.equal(
    (await app.inject({ url: `/checklists/${listId}/changes?since=0`, headers: ann.headers }))
      .statusCode,
    200
  )
})

t.test('retention keeps changes of 90 days and the newest 5,000', async t => {
  const app = await build(t)
  const { sql } = app
  const url = await listen(app)
  const ann = await createUser(app)
  const { projectId, addItems, apply, read, listId } = await insertChecklist(app)
  await insertMember(sql, projectId, ann.id)
  const [itemId = ''] = await addItems('Buy milk', 'Call Bob')
  for (let n = 0; n < 3; n++) {
    await sql`
      update checklist_items set position = position + 1 where checklist_id = ${listId}`
  }
  await sql`
    do $$ begin
      for n in 1..2600 loop
        update checklist_items set done = not done where text in ('Buy milk', 'Call Bob');
      end loop;
    end $$`
  const before = await read()
  const young = Number(before.rev) - 5100
  await sql`update events set at = at - interval '91 days' where rev is null or rev <= ${young + 50}`

  await runJobs(app)
  const [kept] = await sql<[{ first: number; count: number }]>`
    select min(rev) as first, count(*) from events where checklist_id = ${listId}`
  t.strictSame(
    kept,
    { first: young + 51, count: 5050 },
    'only old changes beyond the last 5,000 are deleted'
  )
  const { pos: _, ...view } = await read()
  const { pos: __, ...was } = before
  t.strictSame(view, was)
  const since = (rev: number) =>
    app.inject({ url: `/checklists/${listId}/changes?since=${rev}`, headers: ann.headers })
  t.equal((await since(young)).statusCode, 410)
  t.equal((await since(young + 50)).statusCode, 200)
  const socket = await openLive(t, url, ann.headers)
  socket.send({ type: 'open', checklistId: listId, since: 3 })
  t.match(await socket.next('reset'), { reason: 'compacted' })
  t.match(await socket.next('snapshot'), { checklist: { rev: before.rev } })

  await apply({
    kind: 'item.set',
    itemId,
    set: { text: { from: 'Buy milk', to: 'Buy oat milk' } }
  })
  const merged = await apply({
    kind: 'item.set',
    itemId,
    set: { text: { from: 'Buy milk', to: 'Buy milk today' } }
  })
  t.match(merged, { outcome: 'merged', value: 'Buy oat milk today' })
})

t.test(
  'retention deletes old results, deleted items and conflicts, and keeps young ones',
  async t => {
    const app = await build(t)
    const { sql } = app
    const { addItems, apply, users, read } = await insertChecklist(app)
    const [a = '', b = ''] = await addItems('a', 'b', 'c d')
    const seen = (text: string) => ({ text, done: false, dueOn: null })
    await apply({ kind: 'item.delete', itemId: a, seen: seen('a') })
    await apply({ kind: 'item.delete', itemId: b, seen: seen('b') })
    const id = (await read()).items[0]?.id ?? ''
    const rename = (to: string) => ({
      kind: 'item.set' as const,
      itemId: id,
      set: { text: { from: 'c d', to } }
    })
    await apply(rename('x'))
    const { conflictId = '' } = await apply(rename('y'), users[1])
    await apply({ kind: 'conflict.resolve', conflictId, choice: 'ours', seen: 'x' })
    await sql`update deleted_items set deleted_at = now() - interval '91 days' where id = ${a}`
    await sql`update conflicts set resolved_at = now() - interval '91 days'`
    await sql`update operations set decided_at = now() - interval '31 days' where result ->> 'outcome' = 'conflict'`
    await runJobs(app)
    t.match(await apply({ kind: 'item.restore', itemId: a }), { code: 'not_found' })
    t.match(await apply({ kind: 'item.restore', itemId: b }), { outcome: 'applied' })
    t.equal((await sql`select from conflicts`).length, 0)
    const outcomes = await sql<
      { outcome: string }[]
    >`select distinct result ->> 'outcome' as outcome from operations`
    t.strictSame(
      outcomes.map(({ outcome }) => outcome),
      ['applied']
    )
  }
)
