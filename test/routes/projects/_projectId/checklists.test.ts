import { randomUUID } from 'node:crypto'
import t from 'tap'
import { build } from '../../../support/app.ts'
import { hostileNames, invalidNames } from '../../../support/names.ts'
import { createTeam } from '../../../support/projects.ts'

const app = await build(t)
const { sql } = app
const team = await createTeam(app)
const checklists = `${team.url}/checklists`

t.test('owners and editors create checklists', async t => {
  const { url, projectId, ...users } = await team.another()
  for (const role of ['owner', 'editor'] as const) {
    const reply = await users[role].request('POST', `${url}/checklists`, { title: ' To buy ' })
    t.equal(reply.statusCode, 201)
    const checklist = reply.json()
    t.strictSame(Object.keys(checklist), ['id', 'projectId', 'title', 'rev', 'updatedAt'])
    t.match(checklist, { projectId, title: 'To buy', rev: 1 })
    const [event] = await sql`
      select kind, rev, actor_id, source, at
      from events
      where checklist_id = ${checklist.id}
    `
    t.match(event, {
      kind: 'checklist.created',
      rev: checklist.rev,
      actor_id: users[role].id,
      source: 'http'
    })
    const all = (await users.viewer.request('GET', `${url}/checklists`)).json().checklists
    t.strictSame(all.at(-1), checklist)
  }
})

t.test('creating a checklist returns 403 to viewers, 404 to outsiders', async t => {
  const body = { title: 'Mine' }
  const viewer = await team.viewer.request('POST', checklists, body)
  t.equal(viewer.statusCode, 403)
  t.equal(viewer.json().code, 'FORBIDDEN')
  for (const [method, payload] of [['GET'], ['POST', body]] as const) {
    const denied = await team.outsider.request(method, checklists, payload)
    t.equal(denied.statusCode, 404)
    t.equal(denied.json().code, 'PROJECT_NOT_FOUND')
    const missing = `/projects/${randomUUID()}/checklists`
    t.equal(denied.body, (await team.owner.request(method, missing, payload)).body)
    t.equal((await team.owner.request(method, '/projects/x/checklists', payload)).statusCode, 400)
    t.equal((await app.inject({ method, url: checklists, payload })).statusCode, 401)
  }
  t.strictSame((await team.viewer.request('GET', checklists)).json(), { checklists: [] })
})

t.test('a checklist title is one line of text, others return 400', async t => {
  const { owner, url } = await team.another()
  for (const title of hostileNames) {
    const reply = await owner.request('POST', `${url}/checklists`, { title: `${title} ` })
    t.equal(reply.json().title, title)
  }
  for (const title of invalidNames) {
    const reply = await owner.request('POST', `${url}/checklists`, { title })
    t.equal(reply.statusCode, 400, JSON.stringify(title))
  }
  for (const payload of [undefined, {}, { name: 'a' }, { title: 'a', id: randomUUID() }]) {
    t.equal((await owner.request('POST', `${url}/checklists`, payload)).statusCode, 400)
  }
  const { checklists } = (await owner.request('GET', `${url}/checklists`)).json()
  t.equal(checklists.length, hostileNames.length)
})

t.test('the list of checklists contains revisions and omits deleted checklists', async t => {
  const { owner, url } = await team.another()
  const create = async (title: string) =>
    (await owner.request('POST', `${url}/checklists`, { title })).json()
  const [kept, deleted] = [await create('Kept'), await create('Deleted')]
  await sql`insert into checklist_items (checklist_id, text) values (${kept.id}, 'Chairs')`
  await sql`update checklists set deleted_at = now() where id = ${deleted.id}`
  const { checklists } = (await owner.request('GET', `${url}/checklists`)).json()
  t.match(checklists, [{ id: kept.id, rev: 2 }])
  t.equal(checklists.length, 1)
  t.ok(checklists[0].updatedAt > kept.updatedAt)
})

t.test('more than 100 checklists are returned in pages', async t => {
  const { viewer, url, projectId } = await team.another()
  await sql`
    insert into checklists (project_id, title)
    select ${projectId}, 'checklist ' || n
    from generate_series(1, 101) as n
  `
  const first = (await viewer.request('GET', `${url}/checklists`)).json()
  t.equal(first.checklists.length, 100)
  const second = (await viewer.request('GET', `${url}/checklists?after=${first.next}`)).json()
  t.equal(second.checklists.length, 1)
  t.notOk('next' in second)
  for (const query of ['limit=0', 'limit=1000', 'after=1', 'after[]=1', 'since=1']) {
    t.equal((await viewer.request('GET', `${url}/checklists?${query}`)).statusCode, 400, query)
  }
})
