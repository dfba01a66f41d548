import { randomUUID } from 'node:crypto'
import t from 'tap'
import type { Change, Changes } from '../../../../schemas/change.ts'
import { build } from '../../../support/app.ts'
import { insertLargeEvents } from '../../../support/large-events.ts'
import { createTeam } from '../../../support/projects.ts'

const app = await build(t)
const { sql } = app
const team = await createTeam(app)

/** Creates a checklist and adds items with SQL, each in a change of its own. */
async function checklistWith(items: number) {
  const reply = await team.owner.request('POST', `${team.url}/checklists`, { title: 'To buy' })
  const { id } = reply.json()
  await sql`
    insert into checklist_items (checklist_id, text)
    select ${id}, 'item ' || n
    from generate_series(1, ${items}::int) as n
  `
  return { id, path: `/checklists/${id}/changes` }
}

const revs = ({ changes }: Changes) => changes.map(({ rev }: Change) => rev)

t.test('a change contains its values, author and source', async t => {
  const { id, path } = await checklistWith(1)
  const [item] = await sql<
    [{ id: string }]
  >`select id from checklist_items where checklist_id = ${id}`
  await sql`update checklist_items set done = true where id = ${item.id}`
  await sql`delete from checklist_items where id = ${item.id}`
  const reply = await team.viewer.request('GET', path)
  t.equal(reply.statusCode, 200)
  const { changes, ...range } = reply.json()
  t.strictSame(range, { from: 1, to: 4, head: 4 })
  const list = { id, title: 'To buy', deleted: false }
  const open = { id: item.id, text: 'item 1', done: false, dueOn: null, position: 1024 }
  const done = { ...open, done: true }
  const bySql = { actorId: null, opId: null, source: 'sql', itemId: item.id }
  const byOwner = { actorId: team.owner.id, opId: null, source: 'http' }
  t.strictSame(
    changes.map(({ at, ...change }: Change) => change),
    [
      { rev: 1, kind: 'checklist.created', ...byOwner, after: list },
      { rev: 2, kind: 'item.added', ...bySql, after: open },
      { rev: 3, kind: 'item.updated', ...bySql, before: open, after: done },
      { rev: 4, kind: 'item.deleted', ...bySql, before: done }
    ]
  )
  for (const { at } of changes) t.match(at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
})

t.test('changes are returned in pages from the revision of the client', async t => {
  const { path } = await checklistWith(9)
  const readChanges = async (query: string): Promise<Changes> =>
    (await team.viewer.request('GET', `${path}?${query}`)).json()
  const first = await readChanges('since=0&limit=4')
  t.match(first, { from: 1, to: 4, head: 10 })
  t.strictSame(revs(first), [1, 2, 3, 4])
  const second = await readChanges('since=4&limit=500')
  t.match(second, { from: 5, to: 10, head: 10 })
  t.strictSame(revs(second), [5, 6, 7, 8, 9, 10])
  t.strictSame(await readChanges('since=10'), { from: 11, to: 10, head: 10, changes: [] })
})

t.test('changes since a compacted revision return 410 COMPACTED', async t => {
  const { id, path } = await checklistWith(5)
  await sql`delete from events where checklist_id = ${id} and rev <= 3`
  for (const since of [0, 1, 2]) {
    const reply = await team.viewer.request('GET', `${path}?since=${since}`)
    t.equal(reply.statusCode, 410, `since ${since}`)
    t.equal(reply.json().code, 'COMPACTED')
  }
  const kept = (await team.viewer.request('GET', `${path}?since=3`)).json()
  t.strictSame(revs(kept), [4, 5, 6])
  await sql`delete from events where checklist_id = ${id}`
  t.equal((await team.viewer.request('GET', `${path}?since=5`)).statusCode, 410)
  t.equal((await team.viewer.request('GET', `${path}?since=6`)).statusCode, 200)
})

t.test('changes since a future revision, as after a restore, return 410', async t => {
  const { path } = await checklistWith(1)
  for (const since of [3, Number.MAX_SAFE_INTEGER]) {
    t.equal((await team.viewer.request('GET', `${path}?since=${since}`)).statusCode, 410)
  }
})

t.test('the changes of a deleted checklist include its deletion', async t => {
  const { id, path } = await checklistWith(0)
  await sql`update checklists set deleted_at = now() where id = ${id}`
  const reply = await team.viewer.request('GET', `${path}?since=1`)
  t.equal(reply.statusCode, 200)
  t.match(reply.json().changes, [{ rev: 2, kind: 'checklist.deleted', after: { deleted: true } }])
})

t.test('changes return 404 to outsiders and former members', async t => {
  const { path } = await checklistWith(1)
  const denied = await team.outsider.request('GET', path)
  t.equal(denied.statusCode, 404)
  t.equal(denied.json().code, 'CHECKLIST_NOT_FOUND')
  const missing = await team.owner.request('GET', `/checklists/${randomUUID()}/changes`)
  t.equal(denied.body, missing.body)
  t.equal((await app.inject(path)).statusCode, 401)
  await team.viewer.request('DELETE', `${team.url}/members/${team.viewer.id}`)
  t.equal((await team.viewer.request('GET', path)).statusCode, 404)
  const member = { email: team.viewer.email, role: 'viewer' }
  await team.owner.request('POST', `${team.url}/members`, member)
})

t.test('changes with an invalid revision or limit return 400', async t => {
  const { path } = await checklistWith(1)
  for (const query of ['since=-1', 'since=x', 'since=1.5', 'since=1e99', 'limit=0', 'limit=501']) {
    const reply = await team.viewer.request('GET', `${path}?${query}`)
    t.equal(reply.statusCode, 400, query)
    t.equal(reply.json().code, 'FST_ERR_VALIDATION')
  }
  t.equal((await team.viewer.request('GET', '/checklists/x/changes')).statusCode, 400)
})

t.test('the changes of one item omit others and end at the head', async t => {
  const { id, path } = await checklistWith(3)
  const [item] = await sql<
    [{ id: string }]
  >`select id from checklist_items where checklist_id = ${id} order by position`
  for (let n = 0; n < 3; n++)
    await sql`update checklist_items set done = not done where id = ${item.id}`
  await sql`delete from checklist_items where id <> ${item.id} and checklist_id = ${id}`
  const readChanges = async (query: string): Promise<Changes> =>
    (await team.viewer.request('GET', `${path}?item=${item.id}&${query}`)).json()
  const all = await readChanges('since=0')
  t.match(all, { from: 1, to: 9, head: 9 })
  t.strictSame(revs(all), [2, 5, 6, 7])
  const first = await readChanges('since=0&limit=2')
  t.match(first, { from: 1, to: 5, head: 9 })
  t.strictSame(revs(await readChanges('since=5&limit=2')), [6, 7])
  t.match(await readChanges('since=7&limit=2'), { from: 8, to: 9, changes: [] })
  t.equal((await team.viewer.request('GET', `${path}?item=x`)).statusCode, 400)
})

t.test('pages of changes are limited in bytes and continue to the head', async t => {
  const { id, path } = await checklistWith(0)
  const { projectId } = team
  await insertLargeEvents(sql, { projectId, listId: id, count: 40, bytes: 100_000 })
  await insertLargeEvents(sql, { projectId, listId: id, count: 1, bytes: 3_000_000 })
  const seen: number[] = []
  let page: Changes = { from: 1, to: 0, head: 42, changes: [] }
  while (page.to < page.head) {
    const reply = await team.viewer.request('GET', `${path}?since=${page.to}`)
    t.equal(reply.statusCode, 200)
    const { to } = page
    page = reply.json()
    t.match(page, { from: to + 1, head: 42 })
    t.ok(page.changes.length > 0)
    const size = page.changes.slice(0, -1).reduce((sum, one) => sum + JSON.stringify(one).length, 0)
    t.ok(size < 1 << 20, `${size} bytes before the last change`)
    seen.push(...revs(page))
  }
  t.strictSame(
    seen,
    Array.from({ length: 42 }, (_, n) => n + 1)
  )
})
