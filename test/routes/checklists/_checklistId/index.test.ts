import { randomUUID } from 'node:crypto'
import t from 'tap'
import { build } from '../../../support/app.ts'
import { createTeam } from '../../../support/projects.ts'

const app = await build(t)
const { sql } = app
const team = await createTeam(app)

/** Creates a checklist of the project. */
async function newChecklist(): Promise<{ id: string; path: string }> {
  const reply = await team.owner.request('POST', `${team.url}/checklists`, { title: 'To buy' })
  const { id } = reply.json()
  return { id, path: `/checklists/${id}` }
}

t.test('every member reads the checklist with their own role', async t => {
  const { id, path } = await newChecklist()
  const [epoch] = await sql<[{ epoch: string }]>`select log_epoch() as epoch`
  for (const role of ['owner', 'editor', 'viewer'] as const) {
    const reply = await team[role].request('GET', path)
    t.equal(reply.statusCode, 200)
    const { projectId } = team
    const expected = { id, projectId, title: 'To buy', rev: 1, ...epoch, role, items: [] }
    t.strictSame(reply.json(), { ...expected, conflicts: [] })
  }
})

t.test('a checklist contains its items in order', async t => {
  const { id, path } = await newChecklist()
  await sql`
    insert into checklist_items (checklist_id, text, done, due_on, position)
    values
      (${id}, 'third', false, null, 30),
      (${id}, ${'first\n"quoted" \\ 😀'}, true, '2026-02-28', -2.5),
      (${id}, 'second', false, '0044-03-15', 1e-3)
  `
  const { items, rev } = (await team.viewer.request('GET', path)).json()
  t.equal(rev, 4)
  for (const item of items) t.match(item.id, /^[\da-f-]{36}$/)
  t.strictSame(
    items.map(({ id, ...item }: { id: string }) => item),
    [
      { text: 'first\n"quoted" \\ 😀', done: true, dueOn: '2026-02-28', position: -2.5 },
      { text: 'second', done: false, dueOn: '0044-03-15', position: 0.001 },
      { text: 'third', done: false, dueOn: null, position: 30 }
    ]
  )
})

t.test('a checklist contains its open conflicts', async t => {
  const { id, path } = await newChecklist()
  await sql`
    insert into conflicts (checklist_id, field, base, ours, theirs, ours_by)
    values (${id}, 'title', '"Buy"', '"To buy"', '"To order"', ${team.owner.id})
  `
  const [conflict] = (await team.viewer.request('GET', path)).json().conflicts
  t.match(conflict.id, /^[\da-f-]{36}$/)
  t.strictSame(conflict, {
    id: conflict.id,
    itemId: null,
    field: 'title',
    base: 'Buy',
    ours: 'To buy',
    theirs: 'To order',
    oursBy: team.owner.id,
    theirsBy: null,
    openedRev: 2
  })
})

t.test('an outsider receives the same 404 as for an unknown checklist', async t => {
  const { id, path } = await newChecklist()
  const denied = await team.outsider.request('GET', path)
  t.equal(denied.statusCode, 404)
  t.equal(denied.json().code, 'CHECKLIST_NOT_FOUND')
  const missing = await team.owner.request('GET', `/checklists/${randomUUID()}`)
  t.equal(denied.body, missing.body)
  t.equal((await app.inject(path)).statusCode, 401)
  for (const malformed of ['x', `${id}x`, `urn:uuid:${id}`, "1'--", '%00', '%ff']) {
    const { statusCode } = await team.owner.request('GET', `/checklists/${malformed}`)
    t.equal(statusCode, 400, malformed)
  }
  const capitals = await team.owner.request('GET', `/checklists/${id.toUpperCase()}`)
  t.equal(capitals.statusCode, 200)
})

t.test('a deleted checklist returns 410 to members, 404 to outsiders', async t => {
  const { id, path } = await newChecklist()
  await sql`update checklists set deleted_at = now() where id = ${id}`
  const reply = await team.viewer.request('GET', path)
  t.equal(reply.statusCode, 410)
  t.equal(reply.json().code, 'CHECKLIST_DELETED')
  t.equal((await team.outsider.request('GET', path)).statusCode, 404)
  await sql`update checklists set deleted_at = null where id = ${id}`
  t.equal((await team.viewer.request('GET', path)).statusCode, 200)
})

t.test('a read during writes returns items that match the revision', async t => {
  const { id, path } = await newChecklist()
  const writers = Array.from({ length: 4 }, async () => {
    for (let n = 0; n < 25; n++) {
      await sql`insert into checklist_items (checklist_id, text) values (${id}, 'x')`
    }
  })
  let isBusy = true
  const written = Promise.all(writers).finally(() => {
    isBusy = false
  })
  while (isBusy) {
    const { rev, items } = (await team.viewer.request('GET', path)).json()
    if (rev !== items.length + 1) t.fail(`revision ${rev} with ${items.length} items`)
  }
  await written
  t.equal((await team.viewer.request('GET', path)).json().rev, 101)
})

t.test('reading a checklist takes one query', async t => {
  const { path } = await newChecklist()
  const queries: string[] = []
  sql.options.debug = (_connection, query) => queries.push(query)
  t.teardown(() => {
    sql.options.debug = false
  })
  await team.viewer.request('GET', path)
  t.equal(queries.filter(query => query.includes('checklists')).length, 1)
})
