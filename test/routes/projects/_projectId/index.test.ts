import { randomUUID } from 'node:crypto'
import t from 'tap'
import { build } from '../../../support/app.ts'
import { hostile, newcomer, noNames, team } from '../../../support/team.ts'

const app = await build(t)
const { sql } = app
const there = await team(app)

t.test('every member reads the project, with their own role', async t => {
  for (const role of ['owner', 'editor', 'viewer'] as const) {
    const reply = await there[role].ask('GET', there.url)
    t.equal(reply.statusCode, 200)
    t.match(reply.json(), { id: there.projectId, name: 'Fair', role })
  }
})

t.test('an owner renames it', async t => {
  const { owner, viewer, url, projectId } = await there.another()
  for (const name of hostile) {
    const reply = await owner.ask('PATCH', url, { name: `\t${name} ` })
    t.equal(reply.statusCode, 200)
    t.match(reply.json(), { id: projectId, name, role: 'owner' })
    t.equal((await viewer.ask('GET', url)).json().name, name)
  }
  for (const name of noNames) {
    t.equal((await owner.ask('PATCH', url, { name })).statusCode, 400, JSON.stringify(name))
  }
  for (const payload of [undefined, { name: 'a', id: projectId }]) {
    t.equal((await owner.ask('PATCH', url, payload)).statusCode, 400)
  }
})

t.test('the log tells who renamed it, and nothing when the name stays', async t => {
  const { owner, url, projectId } = await there.another()
  await owner.ask('PATCH', url, { name: 'Fête' })
  await owner.ask('PATCH', url, { name: 'Fête ' })
  const events = await sql`
    select before ->> 'name' as before, after ->> 'name' as after, actor_id, source
    from events
    where project_id = ${projectId}
    and kind = 'project.updated'
  `
  t.strictSame([...events], [{ before: 'Fair', after: 'Fête', actor_id: owner.id, source: 'http' }])
})

t.test('who is no owner neither renames nor deletes it', async t => {
  const { url } = there
  for (const role of ['editor', 'viewer'] as const) {
    for (const [method, payload] of [['PATCH', { name: 'Mine' }], ['DELETE']] as const) {
      const reply = await there[role].ask(method, url, payload)
      t.equal(reply.statusCode, 403, `${role} ${method}`)
      t.equal(reply.json().code, 'FORBIDDEN')
    }
  }
  t.equal((await there.owner.ask('GET', url)).json().name, 'Fair')
})

t.test('to a stranger it is as if it were not there', async t => {
  for (const [method, payload] of [['GET'], ['PATCH', { name: 'Mine' }], ['DELETE']] as const) {
    const strange = await there.stranger.ask(method, there.url, payload)
    const missing = await there.owner.ask(method, `/projects/${randomUUID()}`, payload)
    t.equal(strange.statusCode, 404)
    t.equal(strange.json().code, 'PROJECT_NOT_FOUND')
    t.equal(strange.body, missing.body)
    const malformed = await there.owner.ask(method, "/projects/1'--", payload)
    t.equal(malformed.statusCode, 400)
    t.match(malformed.json(), { code: 'FST_ERR_VALIDATION', message: /projectId/ })
    t.equal((await app.inject({ method, url: there.url, payload })).statusCode, 401)
  }
  t.equal((await there.owner.ask('GET', there.url)).statusCode, 200)
})

t.test('an owner deletes it, and everything in it goes', async t => {
  const { owner, editor, url, projectId } = await there.another()
  const { id } = (await editor.ask('POST', `${url}/checklists`, { title: 'To buy' })).json()
  await sql`insert into checklist_items (checklist_id, text) values (${id}, 'Chairs')`
  const reply = await owner.ask('DELETE', url)
  t.equal(reply.statusCode, 204)
  t.equal(reply.body, '')
  for (const path of [url, `${url}/members`, `${url}/checklists`, `/checklists/${id}`]) {
    t.equal((await owner.ask('GET', path)).statusCode, 404, path)
  }
  t.equal((await owner.ask('DELETE', url)).statusCode, 404)
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

t.test('of many who delete it at once, one does', async t => {
  const { owner, editor, url } = await there.another()
  await owner.ask('PATCH', `${url}/members/${editor.id}`, { role: 'owner' })
  const replies = await Promise.all(
    [owner, editor, owner, editor].map(({ ask }) => ask('DELETE', url))
  )
  const statuses = replies.map(({ statusCode }) => statusCode).sort()
  t.strictSame(statuses, [204, 404, 404, 404])
})

t.test('the projects that nobody else owns go with an account', async t => {
  const { viewer } = there
  const ann = await newcomer(app)
  const [alone, shared] = await Promise.all(
    ['Alone', 'Shared'].map(async name => {
      const url = `/projects/${(await ann.ask('POST', '/projects', { name })).json().id}`
      await ann.ask('POST', `${url}/members`, { email: viewer.email, role: 'viewer' })
      return url
    })
  )
  await ann.ask('PATCH', `${shared}/members/${viewer.id}`, { role: 'owner' })
  await sql`delete from users where id = ${ann.id}`
  t.equal((await viewer.ask('GET', `${alone}`)).statusCode, 404)
  t.equal((await viewer.ask('GET', `${shared}`)).statusCode, 200)
})

t.test('it takes one query', async t => {
  const queries: string[] = []
  for (const { options } of [sql, app.writeSql]) {
    options.debug = (_connection, query) => queries.push(query)
    t.teardown(() => {
      options.debug = false
    })
  }
  await there.owner.ask('PATCH', there.url, { name: 'Fair' })
  t.equal(queries.filter(query => query.includes('projects')).length, 1)
})
