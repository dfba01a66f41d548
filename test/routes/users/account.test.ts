import t from 'tap'
import { deleteUser } from '../../../sql/users.ts'
import { startNode } from '../../support/app.ts'
import { openFeed } from '../../support/sse-client.ts'
import { times } from '../../support/times.ts'
import { createUser, signIn } from '../../support/users.ts'

const { app, url, call } = await startNode(t)
const remove = (token: string, password: unknown) =>
  call('DELETE', '/users/me', { token, body: { password } })
const me = (token: string) => call('GET', '/users/me', { token })

t.test('a user changes their name', async t => {
  const ann = await createUser(app)
  const rename = (body: unknown) => call('PATCH', '/users/me', { token: ann.token, body })
  const reply = await rename({ name: '  Ann O. ' })
  t.equal(reply.status, 200)
  t.strictSame(reply.body, { id: ann.id, name: 'Ann O.' })
  t.strictSame((await me(ann.token)).body, reply.body)
  for (const name of [undefined, null, '', ' ', 'x'.repeat(201), 7, 'two\nlines']) {
    t.equal((await rename({ name })).status, 400, JSON.stringify(name))
  }
  t.equal((await rename({ name: 'x'.repeat(200) })).status, 200)
  t.equal((await rename({ name: 'Ann', email: 'eve@example.com' })).status, 400)
  t.equal((await call('PATCH', '/users/me', { body: { name: 'Eve' } })).status, 401)
})

t.test('deleting an account ends its sessions and frees its email', async t => {
  const ann = await createUser(app)
  const other = await signIn(app, ann)
  const feed = await openFeed(t, url, { cookie: other.cookie })
  const reply = await remove(ann.token, ann.password)
  t.equal(reply.status, 204)
  t.equal(reply.text, '')
  t.match((await feed.next('session.ended')).data, { reason: 'account_deleted' })
  for (const { token, cookie } of [ann, other]) {
    t.equal((await me(token)).status, 401)
    t.equal((await call('PATCH', '/users/me', { token, body: { name: 'Ann' } })).status, 401)
    t.equal((await call('POST', '/auth/refresh', { cookie })).status, 403)
  }
  const { email, password } = ann
  t.equal((await call('POST', '/auth/signin', { body: { email, password } })).status, 401)
  const again = await call('POST', '/auth/signup', { body: { email, password, name: 'Ann' } })
  t.equal(again.status, 201)
  t.not(again.body.id, ann.id)
})

t.test('deleting an account requires the password', async t => {
  const ann = await createUser(app)
  t.equal((await remove(ann.token, 'wrong')).body.code, 'WRONG_PASSWORD')
  for (const password of [undefined, '', null, 7]) {
    t.equal((await remove(ann.token, password)).status, 400)
  }
  t.equal((await call('DELETE', '/users/me', { token: ann.token })).status, 400)
  t.equal((await call('DELETE', '/users/me', { cookie: ann.cookie })).status, 401)
  t.equal((await me(ann.token)).status, 200)
})

t.test('the log names a deleted account as the actor of its project deletions', async t => {
  const [ann, bob] = [await createUser(app), await createUser(app)]
  const create = async (name: string) =>
    (await call('POST', '/projects', { token: ann.token, body: { name } })).body.id as string
  const [own, shared] = [await create('own'), await create('shared')]
  for (const [project, role] of [
    [own, 'editor'],
    [shared, 'owner']
  ]) {
    const body = { email: bob.email, role }
    await call('POST', `/projects/${project}/members`, { token: ann.token, body })
  }
  const feed = await openFeed(t, url, { authorization: `Bearer ${bob.token}` })
  await feed.next('ready')
  t.equal((await remove(ann.token, ann.password)).status, 204)
  const { body } = await call('GET', '/projects', { token: bob.token })
  t.strictSame(
    body.projects.map(({ id }: { id: string }) => id),
    [shared]
  )
  const gone = await feed.next('project.deleted')
  t.match(gone.data, { projectId: own, actorId: ann.id, source: 'http' })
})

t.test('the last owners of a project can delete their accounts concurrently', async t => {
  for (let round = 0; round < 100; round++) {
    // Calls deleteUser without the route, whose verification of the password would take longer than the race.
    const users = await app.sql<{ id: string }[]>`
      with project as (insert into projects (name) values ('all of ours') returning id),
      owners as (
        insert into users (email, name)
        select gen_random_uuid() || '@example.com', 'Ann'
        from generate_series(1, 3)
        returning id
      ),
      members as (
        insert into project_members (project_id, user_id, role)
        select project.id, owners.id, 'owner'
        from project, owners
      )
      select id
      from owners
    `
    const gone = users.map(({ id }) => deleteUser(app.sql, { id, passwordVersion: 0 }))
    t.strictSame(await Promise.all(gone), [true, true, true])
  }
  t.equal((await app.sql`select from projects where name = 'all of ours'`).length, 0)
})

t.test('a sign-in concurrent with account deletion leaves no usable session', async t => {
  await times(20, async () => {
    const ann = await createUser(app)
    const { email, password } = ann
    const [signedIn, removed] = await Promise.all([
      call('POST', '/auth/signin', { body: { email, password } }),
      remove(ann.token, password)
    ])
    t.equal(removed.status, 204)
    t.ok([200, 401].includes(signedIn.status), `${signedIn.status}`)
    const { cookie, body } = signedIn
    if (signedIn.status === 401) return
    t.equal((await call('POST', '/auth/refresh', { cookie })).status, 403)
    t.equal((await me(body.accessToken)).status, 401)
  })
})
