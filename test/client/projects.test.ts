import t from 'tap'
import type { ConcordError } from '../../client/errors.ts'
import { memoryStorage } from '../../client/memory-storage.ts'
import { startNode } from '../support/app.ts'
import { addMember, createChecklist, createProject, insertProject } from '../support/projects.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { times } from '../support/times.ts'
import { until } from '../support/until.ts'
import { createUser } from '../support/users.ts'
import { follow, startClient, when } from './client-setup.ts'
import { browserFetch } from './session-setup.ts'

const { app, url } = await startNode(t)

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'none',
    (error: ConcordError) => error.code
  )

t.test('projects show being added, roles, names and being removed', async t => {
  const olga = await createUser(app, 'Olga')
  const ann = await createUser(app)
  const { projects } = await startClient(t, url, ann)
  follow(t, projects)
  t.same(await projects.ready(), [])
  const id = await createProject(olga, 'Fair')
  await addMember(olga, id, ann, 'viewer')
  const [row] = (await when(projects, rows => rows?.length === 1)) ?? []
  t.match(row, { id, name: 'Fair', role: 'viewer', createdAt: String })
  await olga.request('PATCH', `/projects/${id}/members/${ann.id}`, { role: 'editor' })
  await when(projects, rows => rows?.[0]?.role === 'editor')
  await olga.request('PATCH', `/projects/${id}`, { name: 'Bazaar' })
  await when(projects, rows => rows?.[0]?.name === 'Bazaar')
  await olga.request('DELETE', `/projects/${id}/members/${ann.id}`)
  await when(projects, rows => rows?.length === 0)
  await addMember(olga, id, ann, 'editor')
  await when(projects, rows => rows?.[0]?.name === 'Bazaar')
  await olga.request('DELETE', `/projects/${id}`)
  await when(projects, rows => rows?.length === 0)
})

t.test("changes by the client's own calls are shown at once", async t => {
  const ann = await createUser(app)
  const bob = await createUser(app, 'Bob')
  const client = await startClient(t, url, ann)
  const { projects } = client
  follow(t, projects)
  await projects.ready()
  const project = await client.createProject('Fair')
  t.same(projects.get(), [project])
  const handle = client.project(project.id.toUpperCase())
  t.equal(handle, client.project(project.id))
  follow(t, handle.members)
  follow(t, handle.checklists)
  await handle.members.ready()
  await handle.checklists.ready()
  await handle.rename('Bazaar')
  t.match(projects.get(), [{ name: 'Bazaar' }])
  const member = await handle.addMember(bob.email, 'viewer')
  t.match(member, { userId: bob.id, email: bob.email, role: 'viewer' })
  t.match(handle.members.get(), [{ userId: ann.id }, member])
  await handle.setRole(bob.id, 'editor')
  t.match(handle.members.get()?.[1], { role: 'editor' })
  await handle.removeMember(bob.id)
  t.equal(handle.members.get()?.length, 1)
  const checklist = await handle.createChecklist('To buy')
  const { updatedAt: _, ...row } = checklist
  t.match(handle.checklists.get(), [row], 'its event can arrive before the response')
  await handle.delete()
  t.same(projects.get(), [])
  t.equal(await codeOf(handle.rename('Gone')), 'PROJECT_NOT_FOUND')
})

t.test('members follow additions, roles and removals', async t => {
  const olga = await createUser(app, 'Olga')
  const ann = await createUser(app)
  const bob = await createUser(app, 'Bob')
  const id = await createProject(olga)
  await addMember(olga, id, ann)
  const client = await startClient(t, url, ann)
  const { members } = client.project(id)
  follow(t, members)
  t.equal((await members.ready()).length, 2)
  await addMember(olga, id, bob, 'viewer')
  const rows = await when(members, rows => rows?.length === 3)
  t.match(rows?.[2], { userId: bob.id, name: 'Bob', email: bob.email, role: 'viewer' })
  await olga.request('PATCH', `/projects/${id}/members/${bob.id}`, { role: 'owner' })
  await when(members, rows => rows?.[2]?.role === 'owner')
  await olga.request('DELETE', `/projects/${id}/members/${bob.id}`)
  await when(members, rows => rows?.length === 2)

  await olga.request('DELETE', `/projects/${id}/members/${ann.id}`)
  await when(members, rows => rows === undefined)
  t.match(members.error.get(), { code: 'PROJECT_NOT_FOUND', status: 404 })
  t.equal(await codeOf(members.ready()), 'PROJECT_NOT_FOUND')
  await addMember(olga, id, ann)
  await when(members, rows => rows?.length === 2)
  t.equal(members.error.get(), null)
})

t.test('checklists follow creation, titles, deletion and restoration', async t => {
  const olga = await createUser(app, 'Olga')
  const ann = await createUser(app)
  const id = await createProject(olga)
  await addMember(olga, id, ann)
  const first = await createChecklist(olga, id, 'First')
  const client = await startClient(t, url, ann)
  const { checklists } = client.project(id)
  follow(t, checklists)
  t.match(await checklists.ready(), [{ id: first, projectId: id, title: 'First', rev: 1 }])
  const second = await createChecklist(olga, id, 'Second')
  await when(checklists, rows => rows?.[1]?.title === 'Second')
  const submit = (checklistId: string, ...ops: object[]) =>
    olga.request('POST', `/checklists/${checklistId}/ops`, {
      ops: ops.map(op => ({ opId: crypto.randomUUID(), ...op }))
    })
  await submit(first, { kind: 'list.rename', from: 'First', to: 'One' })
  await when(checklists, rows => rows?.[0]?.title === 'One')
  await submit(first, { kind: 'list.delete', seenRev: 2 })
  t.match(await when(checklists, rows => rows?.length === 1), [{ id: second }])
  await submit(first, { kind: 'list.restore' })
  t.match(await when(checklists, rows => rows?.length === 2), [
    { id: first, rev: 4 },
    { id: second }
  ])
  await app.sql`delete from checklists where id = ${first}`
  await when(checklists, rows => rows?.length === 1)
})

t.test('checklists show the revision and time of every change in order', async t => {
  const ann = await createUser(app)
  const id = await createProject(ann)
  const listId = await createChecklist(ann, id)
  const client = await startClient(t, url, ann)
  const { checklists } = client.project(id)
  const values = follow(t, checklists)
  await when(client.connection, ({ state }) => state === 'live')
  await checklists.ready()
  const items = Array.from({ length: 20 }, () => ({ itemId: crypto.randomUUID(), text: 'x' }))
  const add = { opId: crypto.randomUUID(), kind: 'item.add', items, after: null }
  await ann.request('POST', `/checklists/${listId}/ops`, { ops: [add] })
  await when(checklists, rows => rows?.[0]?.rev === 21)
  const revs = values.flatMap(rows => rows?.[0]?.rev ?? [])
  t.same(
    revs,
    [...revs].sort((a, b) => a - b)
  )
  const dates = values.flatMap(rows => rows?.[0]?.updatedAt ?? [])
  t.same(dates, [...dates].sort())
  const { checklists: fresh } = (await ann.request('GET', `/projects/${id}/checklists`)).json()
  t.equal(fresh[0].rev, 21)
})

t.test('lists of more than 100 rows are loaded page by page', async t => {
  const ann = await createUser(app)
  await times(205, () => insertProject(app.sql, ann.id))
  const { projects } = await startClient(t, url, ann)
  const rows = await projects.ready()
  t.equal(rows.length, 205)
  t.equal(new Set(rows.map(({ id }) => id)).size, 205)
})

t.test('a value without subscriber is undefined', async t => {
  const ann = await createUser(app)
  await createProject(ann)
  const { projects } = await startClient(t, url, ann)
  t.equal(projects.get(), undefined)
  t.equal((await projects.ready()).length, 1)
  t.equal(projects.get(), undefined)
  t.equal((await projects.ready()).length, 1)
})

t.test('events during a lost connection are applied after it', async t => {
  const ann = await createUser(app)
  const id = await createProject(ann, 'Fair')
  const proxy = await tcpProxy(t, url)
  const client = await startClient(t, proxy.url, ann)
  const { projects, connection } = client
  follow(t, projects)
  await projects.ready()
  await when(connection, ({ state }) => state === 'live')
  proxy.close()
  await when(connection, ({ state }) => state === 'offline')
  await ann.request('PATCH', `/projects/${id}`, { name: 'Bazaar' })
  const other = await createProject(ann, 'Other')
  await proxy.reopen()
  t.match(await when(projects, rows => rows?.length === 2), [{ name: 'Bazaar' }, { id: other }])
})

t.test('a page that starts offline shows the projects of the last time', async t => {
  const ann = await createUser(app)
  const id = await createProject(ann, 'Fair')
  const proxy = await tcpProxy(t, url)
  const options = { fetch: browserFetch(), storage: memoryStorage() }
  const before = await startClient(t, proxy.url, ann, options)
  follow(t, before.projects)
  await before.projects.ready()
  await when(before.connection, ({ state }) => state === 'live')
  await ann.request('PATCH', `/projects/${id}`, { name: 'Bazaar' })
  const store = await options.storage.open(ann.id)
  await until(async () => (await store.projects())?.[0]?.name === 'Bazaar')
  await before.close()
  proxy.close()

  const { projects } = await startClient(t, proxy.url, undefined, options)
  follow(t, projects)
  t.match(await when(projects, rows => rows), [{ id, name: 'Bazaar', role: 'owner' }])
  t.match(projects.error.get(), { code: 'NETWORK' })
  await ann.request('PATCH', `/projects/${id}`, { name: 'Market' })
  await proxy.reopen()
  await when(projects, rows => rows?.[0]?.name === 'Market')
  t.equal(projects.error.get(), null)
})

t.test('after a restored backup everything is loaded again', async t => {
  const { app, url } = await startNode(t)
  const ann = await createUser(app)
  const id = await createProject(ann, 'Fair')
  const proxy = await tcpProxy(t, url)
  const { projects, connection } = await startClient(t, proxy.url, ann)
  follow(t, projects)
  await projects.ready()
  await when(connection, ({ state }) => state === 'live')
  proxy.close()
  await when(connection, ({ state }) => state === 'offline')
  await app.sql`alter table projects disable trigger user`
  await app.sql`update projects set name = 'Restored' where id = ${id}`
  await app.sql`alter table projects enable trigger user`
  await app.sql`update log_state set generation = generation + 1`
  await proxy.reopen()
  await when(projects, rows => rows?.[0]?.name === 'Restored')
})

t.test('a page of a captive portal does not replace loaded rows', async t => {
  const ann = await createUser(app)
  await createProject(ann)
  let isCaptured = false
  const fetch: typeof globalThis.fetch = async (input, init) =>
    isCaptured ? new Response('<h1>Sign in to the hotel</h1>') : globalThis.fetch(input, init)
  const { projects } = await startClient(t, url, ann, { fetch })
  follow(t, projects)
  await projects.ready()
  isCaptured = true
  const bob = await createUser(app, 'Bob')
  await addMember(bob, await createProject(bob), ann)
  await when(projects.error, error => error?.code === 'NOT_CONCORD')
  t.equal(projects.get()?.length, 1)
  isCaptured = false
  await when(projects, rows => rows?.length === 2)
})

t.test('a value is loaded as soon as the service can be reached', async t => {
  const ann = await createUser(app)
  await createProject(ann)
  const proxy = await tcpProxy(t, url)
  const { projects } = await startClient(t, proxy.url, ann)
  proxy.close()
  follow(t, projects)
  const ready = projects.ready()
  await when(projects.error, error => error?.code === 'NETWORK')
  await proxy.reopen()
  t.equal((await ready).length, 1)
  t.equal(projects.error.get(), null)
})

t.test('a sign-out or another user replaces the values', async t => {
  const ann = await createUser(app)
  const bob = await createUser(app, 'Bob')
  await createProject(ann, "Ann's")
  await createProject(bob, "Bob's")
  const client = await startClient(t, url, ann)
  const shown: string[] = []
  const unsubscribe = client.projects.subscribe(rows => {
    const session = client.session.get()
    const user = session.state === 'signed-in' ? session.user.name : session.state
    for (const { name } of rows ?? []) shown.push(`${user} sees ${name}`)
  })
  t.teardown(unsubscribe)
  await when(client.projects, rows => rows?.[0]?.name === "Ann's")
  await client.signOut()
  t.equal(client.projects.get(), undefined)
  t.match(client.projects.error.get(), { code: 'SIGNED_OUT' })
  t.equal(await codeOf(client.projects.ready()), 'SIGNED_OUT')
  t.equal(await codeOf(client.createProject('x')), 'SIGNED_OUT')
  await client.signIn(ann)
  await client.projects.ready()
  await client.signIn(bob)
  await client.projects.ready()
  t.same([...new Set(shown)], ["Ann sees Ann's", "Bob sees Bob's"])
})

t.test('ready rejects when it is aborted or the client is closed', async t => {
  const ann = await createUser(app)
  const proxy = await tcpProxy(t, url)
  const client = await startClient(t, proxy.url, ann)
  proxy.close()
  const controller = new AbortController()
  const ready = codeOf(client.projects.ready({ signal: controller.signal }))
  controller.abort()
  t.equal(await ready, 'ABORTED')
  const other = codeOf(client.projects.ready())
  await client.close()
  t.equal(await other, 'ABORTED')
  t.equal(await codeOf(client.projects.ready()), 'ABORTED')
})

t.test('calls about the account change it and follow its sessions', async t => {
  const ann = await createUser(app)
  const client = await startClient(t, url, ann)
  const { account, session } = client
  await account.rename('Anna')
  t.match(session.get(), { state: 'signed-in', user: { id: ann.id, name: 'Anna' } })
  t.equal((await account.sessions()).length, 2)
  await account.endOtherSessions()
  const sessions = await account.sessions()
  t.equal(sessions.length, 1)
  t.match(sessions, [{ current: true, createdAt: String }])
  t.equal(await codeOf(account.changePassword('wrong', 'another horse')), 'WRONG_PASSWORD')
  await account.changePassword(ann.password, 'another horse')
  t.equal(await codeOf(account.delete(ann.password)), 'WRONG_PASSWORD')
  await account.delete('another horse')
  t.match(session.get(), { state: 'signed-out', reason: 'account_deleted' })
})

t.test('a session that is ended elsewhere signs out with its reason', async t => {
  const ann = await createUser(app)
  const client = await startClient(t, url, ann)
  const isReady = new Promise(resolve => client.on('ready', resolve))
  await isReady
  await ann.request('DELETE', '/auth/sessions')
  await when(client.session, ({ state }) => state === 'signed-out')
  t.match(client.session.get(), { reason: 'revoked' })
  await when(client.connection, ({ state }) => state === 'needs-sign-in')
})
