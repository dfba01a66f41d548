import { randomUUID } from 'node:crypto'
import t from 'tap'
import { build } from '../../../support/app.ts'
import { createTeam } from '../../../support/projects.ts'

const app = await build(t)
const { sql } = app
const team = await createTeam(app)
const members = `${team.url}/members`

const statuses = (replies: { statusCode: number }[]) =>
  replies.map(({ statusCode }) => statusCode).sort()

t.test('every member lists all members in the order of joining', async t => {
  for (const role of ['owner', 'editor', 'viewer'] as const) {
    const reply = await team[role].request('GET', members)
    t.equal(reply.statusCode, 200)
    t.match(reply.json().members, [
      { userId: team.owner.id, name: 'Olga', email: team.owner.email, role: 'owner' },
      { userId: team.editor.id, name: 'Ed', email: team.editor.email, role: 'editor' },
      { userId: team.viewer.id, name: 'Vera', email: team.viewer.email, role: 'viewer' }
    ])
  }
})

t.test('a user whom an owner adds can read the project at once', async t => {
  const { owner, outsider, url, projectId } = await team.another()
  const role = 'editor'
  const email = outsider.email.toUpperCase()
  const reply = await owner.request('POST', `${url}/members`, { email, role })
  t.equal(reply.statusCode, 201)
  const { addedAt, ...member } = reply.json()
  t.strictSame(member, { userId: outsider.id, name: 'Otto', email: outsider.email, role })
  t.match(addedAt, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
  t.match((await outsider.request('GET', url)).json(), { role })
  t.strictSame((await owner.request('GET', `${url}/members`)).json().members.at(-1), reply.json())

  const [event] = await sql`
    select user_id, actor_id, source
    from events
    where project_id = ${projectId}
    and kind = 'member.added'
    order by pos desc
    limit 1
  `
  t.strictSame(event, { user_id: outsider.id, actor_id: owner.id, source: 'http' })
})

t.test('adding a member again returns 409, an unknown user 404', async t => {
  const { owner, editor } = team
  const twice = await owner.request('POST', members, { email: editor.email, role: 'owner' })
  t.equal(twice.statusCode, 409)
  t.equal(twice.json().code, 'ALREADY_MEMBER')
  t.equal((await editor.request('GET', team.url)).json().role, 'editor')
  const email = 'unknown@example.com'
  const unknown = await owner.request('POST', members, { email, role: 'viewer' })
  t.equal(unknown.statusCode, 404)
  t.equal(unknown.json().code, 'USER_NOT_FOUND')
})

t.test('of 20 concurrent additions of one user, one returns 201', async t => {
  const { owner, outsider, url } = await team.another()
  const member = { email: outsider.email, role: 'viewer' }
  const replies = await Promise.all(
    Array.from({ length: 20 }, () => owner.request('POST', `${url}/members`, member))
  )
  t.strictSame(statuses(replies), [201, ...Array(19).fill(409)])
})

t.test('an owner changes the role of a member', async t => {
  const { owner, editor, viewer, url } = await team.another()
  const member = `${url}/members/${viewer.id}`
  t.equal((await viewer.request('POST', `${url}/checklists`, { title: 'a' })).statusCode, 403)
  const reply = await owner.request('PATCH', member, { role: 'editor' })
  t.equal(reply.statusCode, 200)
  t.match(reply.json(), { userId: viewer.id, name: 'Vera', email: viewer.email, role: 'editor' })
  t.equal((await viewer.request('POST', `${url}/checklists`, { title: 'a' })).statusCode, 201)
  // An id matches in upper case, too.
  await owner.request('PATCH', `${url}/members/${editor.id.toUpperCase()}`, { role: 'owner' })
  t.equal((await editor.request('PATCH', url, { name: 'Ours' })).statusCode, 200)
  t.equal(
    (await owner.request('PATCH', member, { role: 'editor' })).statusCode,
    200,
    'an unchanged role'
  )
})

t.test('a member can leave, and an owner can remove members', async t => {
  const { owner, editor, viewer, url } = await team.another()
  const left = await editor.request('DELETE', `${url}/members/${editor.id.toUpperCase()}`)
  t.equal(left.statusCode, 204)
  t.equal(left.body, '')
  t.equal((await owner.request('DELETE', `${url}/members/${viewer.id}`)).statusCode, 204)
  for (const { request, id } of [editor, viewer]) {
    t.equal((await request('GET', url)).statusCode, 404)
    t.equal((await request('DELETE', `${url}/members/${id}`)).statusCode, 404)
    const again = await owner.request('DELETE', `${url}/members/${id}`)
    t.equal(again.statusCode, 404)
    t.equal(again.json().code, 'MEMBER_NOT_FOUND')
  }
  const email = editor.email
  t.equal(
    (await owner.request('POST', `${url}/members`, { email, role: 'viewer' })).statusCode,
    201
  )
})

t.test('changing members returns 403 to editors and viewers', async t => {
  const { viewer, owner, outsider } = team
  const attempts = [
    ['POST', members, { email: outsider.email, role: 'viewer' }],
    ['PATCH', `${members}/${viewer.id}`, { role: 'owner' }],
    ['PATCH', `${members}/${randomUUID()}`, { role: 'owner' }],
    ['DELETE', `${members}/${owner.id}`, undefined],
    ['DELETE', `${members}/${randomUUID()}`, undefined]
  ] as const
  for (const role of ['editor', 'viewer'] as const) {
    for (const [method, url, payload] of attempts) {
      const reply = await team[role].request(method, url, payload)
      t.equal(reply.statusCode, 403, `${role} ${method} ${url}`)
      t.equal(reply.json().code, 'FORBIDDEN')
    }
  }
})

t.test('every member route returns 404 to an outsider', async t => {
  const { outsider, owner, viewer } = team
  const missing = `/projects/${randomUUID()}/members`
  const attempts = [
    ['GET', '', undefined],
    ['POST', '', { email: viewer.email, role: 'viewer' }],
    ['POST', '', { email: 'unknown@example.com', role: 'viewer' }],
    ['PATCH', `/${viewer.id}`, { role: 'owner' }],
    ['DELETE', `/${viewer.id}`, undefined],
    ['DELETE', `/${outsider.id}`, undefined]
  ] as const
  for (const [method, path, payload] of attempts) {
    const denied = await outsider.request(method, members + path, payload)
    t.equal(denied.statusCode, 404, `${method} ${path}`)
    t.equal(denied.json().code, 'PROJECT_NOT_FOUND')
    t.equal(denied.body, (await owner.request(method, missing + path, payload)).body)
    const anonymous = await app.inject({ method, url: members + path, payload })
    t.equal(anonymous.statusCode, 401)
  }
})

t.test('changing or removing a user who is not a member returns 404', async t => {
  const { owner, outsider } = team
  for (const id of [outsider.id, randomUUID()]) {
    for (const method of ['PATCH', 'DELETE'] as const) {
      const payload = method === 'PATCH' ? { role: 'viewer' } : undefined
      const reply = await owner.request(method, `${members}/${id}`, payload)
      t.equal(reply.statusCode, 404)
      t.equal(reply.json().code, 'MEMBER_NOT_FOUND')
    }
  }
})

t.test('a malformed member request returns 400 and names the field', async t => {
  const { owner, viewer } = team
  const { email } = team.outsider
  const bad: [string, 'POST' | 'PATCH', string, unknown][] = [
    ['email', 'POST', '', { role: 'viewer' }],
    ['email', 'POST', '', { email: 'x', role: 'viewer' }],
    ['email', 'POST', '', { email: [email], role: 'viewer' }],
    ['email', 'POST', '', { email: null, role: 'viewer' }],
    ['role', 'POST', '', { email }],
    ['role', 'POST', '', { email, role: 'admin' }],
    ['role', 'POST', '', { email, role: 'OWNER' }],
    ['role', 'POST', '', { email, role: ['owner'] }],
    ['userId', 'POST', '', { email, role: 'viewer', userId: viewer.id }],
    ['role', 'PATCH', `/${viewer.id}`, {}],
    ['role', 'PATCH', `/${viewer.id}`, { role: '' }],
    ['role', 'PATCH', `/${viewer.id}`, { role: 1 }],
    ['name', 'PATCH', `/${viewer.id}`, { role: 'viewer', name: 'x' }],
    ['userId', 'PATCH', '/me', { role: 'viewer' }]
  ]
  for (const [field, method, path, payload] of bad) {
    const reply = await owner.request(method, members + path, payload as object)
    t.equal(reply.statusCode, 400, JSON.stringify(payload))
    t.equal(reply.json().code, 'FST_ERR_VALIDATION')
    t.match(reply.json().message, field)
  }
})

t.test('removing or demoting the last owner returns 409 LAST_OWNER', async t => {
  const { owner, editor, url } = await team.another()
  const self = `${url}/members/${owner.id}`
  for (const [method, payload] of [['DELETE'], ['PATCH', { role: 'viewer' }]] as const) {
    const reply = await owner.request(method, self, payload)
    t.equal(reply.statusCode, 409)
    t.equal(reply.json().code, 'LAST_OWNER')
  }
  t.equal((await owner.request('PATCH', self, { role: 'owner' })).statusCode, 200)
  await owner.request('PATCH', `${url}/members/${editor.id}`, { role: 'owner' })
  t.equal((await owner.request('DELETE', self)).statusCode, 204)
})

/** Creates a project with two owners. */
async function createWithTwoOwners() {
  const { owner, editor, ...rest } = await team.another()
  await owner.request('PATCH', `${rest.url}/members/${editor.id}`, { role: 'owner' })
  return { ...rest, ann: owner, bob: editor }
}

t.test('of two owners who leave concurrently, one receives 409 and stays', async t => {
  const { ann, bob, viewer, url } = await createWithTwoOwners()
  const replies = await Promise.all(
    [ann, bob].map(({ request, id }) => request('DELETE', `${url}/members/${id}`))
  )
  t.strictSame(statuses(replies), [204, 409])
  const left = (await viewer.request('GET', `${url}/members`)).json().members
  t.equal(left.filter(({ role }: { role: string }) => role === 'owner').length, 1)
})

t.test('of two owners who demote each other concurrently, one succeeds', async t => {
  const { ann, bob, url } = await createWithTwoOwners()
  const role = { role: 'viewer' }
  const replies = await Promise.all([
    ann.request('PATCH', `${url}/members/${bob.id}`, role),
    bob.request('PATCH', `${url}/members/${ann.id}`, role)
  ])
  t.strictSame(statuses(replies), [200, 403])
})

t.test('an owner adds no member after their own removal is committed', async t => {
  const { ann, bob, outsider, url } = await createWithTwoOwners()
  const [removed, added] = await Promise.all([
    ann.request('DELETE', `${url}/members/${bob.id}`),
    bob.request('POST', `${url}/members`, { email: outsider.email, role: 'viewer' })
  ])
  t.equal(removed.statusCode, 204)
  t.ok([201, 404].includes(added.statusCode))
  const order = await sql`
    select kind
    from events
    where user_id in (${bob.id}, ${outsider.id})
    and kind in ('member.added', 'member.removed')
    order by pos desc
    limit 1
  `
  t.strictSame([...order], [{ kind: 'member.removed' }], 'the removal is the last event')
})

t.test('leaving and deleting a project concurrently causes no deadlock', async t => {
  const { ann, bob, viewer, url } = await createWithTwoOwners()
  const replies = await Promise.all([
    ann.request('DELETE', url),
    bob.request('DELETE', `${url}/members/${bob.id}`),
    viewer.request('DELETE', `${url}/members/${viewer.id}`),
    bob.request('PATCH', url, { name: 'Ours' }),
    bob.request('POST', `${url}/checklists`, { title: 'To buy' })
  ])
  t.equal(replies[0].statusCode, 204)
  for (const { statusCode } of replies) t.ok(statusCode < 500)
})

t.test('members are returned in pages', async t => {
  const { owner, url } = await team.another()
  const path = `${url}/members?limit=2`
  const first = (await owner.request('GET', path)).json()
  const second = (await owner.request('GET', `${path}&after=${first.next}`)).json()
  t.equal(first.members.length, 2)
  t.equal(second.members.length, 1)
  t.notOk('next' in second)
  const last = second.members[0]
  await owner.request('DELETE', `${url}/members/${last.userId}`)
  t.strictSame((await owner.request('GET', `${path}&after=${first.next}`)).json(), { members: [] })
})
