import t from 'tap'
import { build } from '../../support/app.ts'
import { hostileNames, invalidNames } from '../../support/names.ts'
import { createUser } from '../../support/users.ts'

const app = await build(t)
const { sql } = app

t.test('the creator of a project is its owner', async t => {
  const ann = await createUser(app)
  const reply = await ann.request('POST', '/projects', { name: '  Summer fair\n' })
  t.equal(reply.statusCode, 201)
  const project = reply.json()
  t.strictSame(Object.keys(project), ['id', 'name', 'role', 'createdAt'])
  t.match(project, { name: 'Summer fair', role: 'owner' })
  t.ok(Math.abs(Date.parse(project.createdAt) - Date.now()) < 60_000)
  t.strictSame((await ann.request('GET', '/projects')).json(), { projects: [project] })
})

t.test('the log contains the creator and the source of a project', async t => {
  const ann = await createUser(app)
  const { id } = (await ann.request('POST', '/projects', { name: 'Fair' })).json()
  const events = await sql`
    select kind, user_id, actor_id, source
    from events
    where project_id = ${id}
    order by pos
  `
  const by = { user_id: ann.id, actor_id: ann.id, source: 'http' }
  t.strictSame(
    [...events],
    [
      { kind: 'project.created', ...by },
      { kind: 'member.added', ...by }
    ]
  )
})

t.test('a project name is any single line of text', async t => {
  const ann = await createUser(app)
  for (const name of hostileNames) {
    const reply = await ann.request('POST', '/projects', { name: ` ${name}  ` })
    t.equal(reply.statusCode, 201, name)
    t.equal(reply.json().name, name)
  }
  const { projects } = (await ann.request('GET', '/projects')).json()
  t.strictSame(
    projects.map(({ name }: { name: string }) => name),
    hostileNames
  )
})

t.test('an invalid project name returns 400', async t => {
  const ann = await createUser(app)
  for (const name of invalidNames) {
    const reply = await ann.request('POST', '/projects', { name })
    t.equal(reply.statusCode, 400, JSON.stringify(name))
  }
  const reply = await ann.request('POST', '/projects', { name: ' ' })
  t.equal(reply.json().code, 'FST_ERR_VALIDATION')
  t.match(reply.json().message, /name/)
  for (const payload of [undefined, [], { name: 'a', role: 'owner' }]) {
    t.equal((await ann.request('POST', '/projects', payload)).statusCode, 400)
  }
  t.strictSame((await ann.request('GET', '/projects')).json(), { projects: [] })
})

t.test('project routes without an access token return 401', async t => {
  for (const method of ['GET', 'POST'] as const) {
    const reply = await app.inject({ method, url: '/projects', payload: { name: 'Fair' } })
    t.equal(reply.statusCode, 401)
  }
})

t.test('the token of a deleted account cannot create a project', async t => {
  const ann = await createUser(app)
  await sql`delete from users where id = ${ann.id}`
  const reply = await ann.request('POST', '/projects', { name: 'Fair' })
  t.equal(reply.statusCode, 401)
})

t.test('a user lists only their own projects', async t => {
  const [ann, bob] = [await createUser(app), await createUser(app)]
  await ann.request('POST', '/projects', { name: 'Fair' })
  t.strictSame((await bob.request('GET', '/projects')).json(), { projects: [] })
})

t.test('more than 100 projects are returned in pages', async t => {
  const ann = await createUser(app)
  await sql`
    with project as (
      insert into projects (name)
      select 'project ' || n
      from generate_series(1, 150) as n
      returning id
    )
    insert into project_members (project_id, user_id, role)
    select id, ${ann.id}, 'owner'
    from project
  `
  const first = (await ann.request('GET', '/projects')).json()
  t.equal(first.projects.length, 100)
  // Deleting the last project of a page does not make the next page skip one.
  await sql`delete from projects where id = ${first.projects.at(-1).id}`
  const second = (await ann.request('GET', `/projects?after=${first.next}`)).json()
  t.equal(second.projects.length, 50)
  t.notOk('next' in second, 'the last page has no next')
  const ids = [...first.projects, ...second.projects].map(({ id }) => id)
  t.equal(new Set(ids).size, 150)
})

t.test('pages of every size return all projects', async t => {
  const ann = await createUser(app)
  for (const name of ['a', 'b', 'c', 'd']) await ann.request('POST', '/projects', { name })
  for (const limit of [1, 2, 3, 4]) {
    let names = ''
    let after = ''
    do {
      const { projects, next } = (
        await ann.request('GET', `/projects?limit=${limit}${after}`)
      ).json()
      names += projects.map(({ name }: { name: string }) => name).join('')
      after = next ? `&after=${next}` : ''
    } while (after)
    t.equal(names, 'abcd')
  }
})

t.test('a project list with an invalid limit or cursor returns 400', async t => {
  const ann = await createUser(app)
  for (const query of [
    'limit=0',
    'limit=101',
    'limit=x',
    'limit=',
    'after=x',
    'after=1_',
    'page=2'
  ]) {
    t.equal((await ann.request('GET', `/projects?${query}`)).statusCode, 400, query)
  }
})
