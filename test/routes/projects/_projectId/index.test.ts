import { randomUUID } from 'node:crypto'
import t from 'tap'
import { build } from '../../../support/app.ts'
import { hostileNames, invalidNames } from '../../../support/names.ts'
import { createTeam } from '../../../support/projects.ts'
import { createUser } from '../../../support/users.ts'

const app = await build(t)
const { sql } = app
const team = await createTeam(app)

t.test('every member reads the project with their own role', async t => {
  for (const role of ['owner', 'editor', 'viewer'] as const) {
    const reply = await team[role].request('GET', team.url)
    t.equal(reply.statusCode, 200)
    t.match(reply.json(), { id: team.projectId, name: 'Fair', role })
  }
})

t.test('an owner renames a project', async t => {
  const { owner, viewer, url, projectId } = await team.another()
  for (const name of hostileNames) {
    const reply = await owner.request('PATCH', url, { name: `\t${name} ` })
    t.equal(reply.statusCode, 200)
    t.match(reply.json(), { id: projectId, name, role: 'owner' })
    t.equal((await viewer.request('GET', url)).json().name, name)
  }
  for (const name of invalidNames) {
    t.equal((await owner.request('PATCH', url, { name })).statusCode, 400, JSON.stringify(name))
  }
  for (const payload of [undefined, { name: 'a', id: projectId }]) {
    t.equal((await owner.request('PATCH', url, payload)).statusCode, 400)
  }
})

t.test('the log contains one event for a rename, with its actor', async t => {
  const { owner, url, projectId } = await team.another()
  await owner.request('PATCH', url, { name: 'Fête' })
  await owner.request('PATCH', url, { name: 'Fête ' })
  const events = await sql`
    select before ->> 'name' as before, after ->> 'name' as after, actor_id, source
    from events
    where project_id = ${projectId}
    and kind = 'project.updated'
  `
  t.strictSame([...events], [{ before: 'Fair', after: 'Fête', actor_id: owner.id, source: 'http' }])
})

t.test('renaming or deleting a project returns 403 to editors and viewers', async t => {
  const { url } = team
  for (const role of ['editor', 'viewer'] as const) {
    for (const [method, payload] of [['PATCH', { name: 'Mine' }], ['DELETE']] as const) {
      const reply = await team[role].request(method, url, payload)
      t.equal(reply.statusCode, 403, `${role} ${method}`)
      t.equal(reply.json().code, 'FORBIDDEN')
    }
  }
  t.equal((await team.owner.request('GET', url)).json().name, 'Fair')
})

t.test('an outsider receives the same 404 as for an unknown project', async t => {
  for (const [method, payload] of [['GET'], ['PATCH', { name: 'Mine' }], ['DELETE']] as const) {
    const denied = await team.outsider.request(method, team.url, payload)
    const missing = await team.owner.request(method, `/projects/${randomUUID()}`, payload)
    t.equal(denied.statusCode, 404)
    t.equal(denied.json().code, 'PROJECT_NOT_FOUND')
    t.equal(denied.body, missing.body)
    const malformed = await team.owner.request(method, "/projects/1'--", payload)
    t.equal(malformed.statusCode, 400)
    t.match(malformed.json(), { code: 'FST_ERR_VALIDATION', message: /projectId/ })
    t.equal((await app.inject({ method, url: team.url, payload })).statusCode, 401)
  }
  t.equal((await team.owner.request('GET', team.url)).statusCode, 200)
})

t.test('deleting a project deletes everything in it', async t => {
  const { owner, editor, url, projectId } = await team.another()
  const { id } = (await editor.request('POST', `${url}/checklists`, { title: 'To buy' })).json()
  await sql`insert into checklist_items (checklist_id, text) values (${id}, 'Chairs')`
  const reply = await owner.request('DELETE', url)
  t.equal(reply.statusCode, 204)
  t.equal(reply.body, '')
  for (const path of [url, `${url}/members`, `${url}/checklists`, `/checklists/${id}`]) {
    t.equal((await owner.request('GET', path)).statusCode, 404, path)
  }
  t.equal((await owner.request('DELETE', url)).statusCode, 404)
  const items = await sql`select from checklist_items where checklist_id = ${id}`
  t.equal(items.length, 0)

  const events = await sql`
    select kind, actor_id, source
    from events
    where project_id = ${projectId}
    and kind in ('project.deleted', 'member.removed')
    order by pos
  `
  const by = { actor_id: owner.id, source: 'http' }
  t.strictSame(
    [...events],
    [{ kind: 'project.deleted', ...by }, ...Array(3).fill({ kind: 'member.removed', ...by })]
  )
})

t.test('of four concurrent deletions of a project, one returns 204', async t => {
  const { owner, editor, url } = await team.another()
  await owner.request('PATCH', `${url}/members/${editor.id}`, { role: 'owner' })
  const replies = await Promise.all(
    [owner, editor, owner, editor].map(({ request }) => request('DELETE', url))
  )
  const statuses = replies.map(({ statusCode }) => statusCode).sort()
  t.strictSame(statuses, [204, 404, 404, 404])
})

t.test('deleting a user deletes the projects that the user alone owns', async t => {
  const { viewer } = team
  const ann = await createUser(app)
  const [alone, shared] = await Promise.all(
    ['Alone', 'Shared'].map(async name => {
      const url = `/projects/${(await ann.request('POST', '/projects', { name })).json().id}`
      await ann.request('POST', `${url}/members`, { email: viewer.email, role: 'viewer' })
      return url
    })
  )
  await ann.request('PATCH', `${shared}/members/${viewer.id}`, { role: 'owner' })
  await sql`delete from users where id = ${ann.id}`
  t.equal((await viewer.request('GET', `${alone}`)).statusCode, 404)
  t.equal((await viewer.request('GET', `${shared}`)).statusCode, 200)
})

t.test('renaming a project takes one query', async t => {
  const queries: string[] = []
  for (const { options } of [sql, app.writeSql]) {
    options.debug = (_connection, query) => queries.push(query)
    t.teardown(() => {
      options.debug = false
    })
  }
  await team.owner.request('PATCH', team.url, { name: 'Fair' })
  t.equal(queries.filter(query => query.includes('projects')).length, 1)
})
