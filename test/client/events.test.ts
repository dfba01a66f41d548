import t from 'tap'
import type { FeedEvent } from '../../client/types.ts'
import { startNode } from '../support/app.ts'
import { addMember, createProject } from '../support/projects.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'
import { createUser } from '../support/users.ts'
import { startClient, when } from './client-setup.ts'

const { app, url } = await startNode(t)

t.test('a listener receives the events of one type from now on', async t => {
  const ann = await createUser(app)
  const client = await startClient(t, url, ann)
  const names: string[] = []
  const unsubscribe = client.on('project.updated', ({ before, after }) =>
    names.push(`${before.name} → ${after.name}`)
  )
  await new Promise(resolve => client.on('ready', resolve))
  const id = await createProject(ann, 'Fair')
  await ann.request('PATCH', `/projects/${id}`, { name: 'Bazaar' })
  await until(() => names.length === 1)
  t.same(names, ['Fair → Bazaar'])
  unsubscribe()
  const deleted = new Promise(resolve => client.on('project.deleted', resolve))
  await ann.request('PATCH', `/projects/${id}`, { name: 'Other' })
  await ann.request('DELETE', `/projects/${id}`)
  t.match(await deleted, { type: 'project.deleted', projectId: id, cursor: String })
  t.equal(names.length, 1)
})

t.test('a listener of one project receives no events of others', async t => {
  const ann = await createUser(app)
  const one = await createProject(ann, 'One')
  const two = await createProject(ann, 'Two')
  const client = await startClient(t, url, ann)
  const names: string[] = []
  const controller = new AbortController()
  const { signal } = controller
  const options = { project: two.toUpperCase(), signal }
  client.on('project.updated', ({ after }) => names.push(after.name), options)
  client.on('project.updated', () => names.push('aborted'), { signal: AbortSignal.abort() })
  await new Promise(resolve => client.on('ready', resolve, { project: two }))
  await ann.request('PATCH', `/projects/${one}`, { name: 'First' })
  await ann.request('PATCH', `/projects/${two}`, { name: 'Second' })
  await until(() => names.length === 1)
  t.same(names, ['Second'])
  controller.abort()
  const deleted = new Promise(resolve => client.on('project.deleted', resolve))
  await ann.request('PATCH', `/projects/${two}`, { name: 'Third' })
  await ann.request('DELETE', `/projects/${two}`)
  await deleted
  t.same(names, ['Second'])
})

t.test('events are iterated in order, each once, across reconnects', async t => {
  const olga = await createUser(app, 'Olga')
  const ann = await createUser(app)
  const id = await createProject(olga)
  await addMember(olga, id, ann)
  const proxy = await tcpProxy(t, url)
  const client = await startClient(t, proxy.url, ann)
  const events = client.events()[Symbol.asyncIterator]()
  t.match(await next(events, 'ready'), { userId: ann.id })
  const names = Array.from({ length: 12 }, (_, n) => `Name ${n}`)
  const received: string[] = []
  for (const [n, name] of names.entries()) {
    await olga.request('PATCH', `/projects/${id}`, { name })
    if (n === 3) proxy.cut()
    if (n === 6) {
      proxy.close()
      await proxy.reopen()
    }
  }
  while (received.length < names.length) {
    received.push((await next(events, 'project.updated')).after.name)
  }
  t.same(received, names)
  await events.return?.()
})

t.test('an iteration resumes after a cursor, and narrows to a project', async t => {
  const ann = await createUser(app)
  const one = await createProject(ann)
  const two = await createProject(ann)
  const client = await startClient(t, url, ann)
  const first = client.events()[Symbol.asyncIterator]()
  const { cursor } = await next(first, 'ready')
  await first.return?.()
  await ann.request('PATCH', `/projects/${one}`, { name: 'First' })
  await ann.request('PATCH', `/projects/${two}`, { name: 'Second' })
  await ann.request('PATCH', `/projects/${two}`, { name: 'Third' })
  const names: string[] = []
  for await (const event of client.events({ after: cursor, project: two })) {
    if (event.type === 'project.updated') names.push(event.after.name)
    if (names.length === 2) break
  }
  t.same(names, ['Second', 'Third'])
})

t.test('an unknown cursor gives a reset', async t => {
  const ann = await createUser(app)
  const client = await startClient(t, url, ann)
  const events = client.events({ after: 'ce98dd9f6b7a.2rs' })[Symbol.asyncIterator]()
  t.match(await next(events, 'reset'), { reason: 'restored' })
  await events.return?.()
})

t.test('a slow consumer receives every event', async t => {
  const ann = await createUser(app)
  const id = await createProject(ann)
  const list = (await ann.request('POST', `/projects/${id}/checklists`, { title: 'Long' })).json()
  const client = await startClient(t, url, ann)
  const events = client.events()[Symbol.asyncIterator]()
  await next(events, 'ready')
  await app.sql`
    insert into checklist_items (checklist_id, text)
    select ${list.id}, repeat('x', 2000)
    from generate_series(1, 1000)`
  const revs: number[] = []
  while (revs.length < 1000) revs.push((await next(events, 'item.added')).rev)
  t.same(
    revs,
    revs.map((_, index) => index + 2)
  )
  await events.return?.()
})

t.test('an iteration ends when it is aborted or the client is closed', async t => {
  const ann = await createUser(app)
  const client = await startClient(t, url, ann)
  const controller = new AbortController()
  const events = client.events({ signal: controller.signal })[Symbol.asyncIterator]()
  await next(events, 'ready')
  const last = events.next()
  controller.abort()
  t.match(await last, { done: true })
  const others = client.events()[Symbol.asyncIterator]()
  await next(others, 'ready')
  const end = others.next()
  await client.close()
  t.match(await end, { done: true })
})

t.test('an iteration fails when the user signs out or it is refused', async t => {
  const ann = await createUser(app)
  const client = await startClient(t, url, ann)
  const events = client.events()[Symbol.asyncIterator]()
  await next(events, 'ready')
  const refused = client.events({ project: 'no-id' })[Symbol.asyncIterator]().next()
  await t.rejects(refused, { code: 'FST_ERR_VALIDATION', status: 400 })
  const last = next(events, 'project.created')
  await client.signOut()
  await t.rejects(last, { code: 'SIGNED_OUT' })
  await t.rejects(client.events()[Symbol.asyncIterator]().next(), { code: 'SIGNED_OUT' })
})

t.test('the shared stream outlives the access token', async t => {
  const { app, url } = await startNode(t, { ACCESS_TOKEN_TTL: '3' })
  const ann = await createUser(app)
  const id = await createProject(ann, '0')
  const client = await startClient(t, url, ann)
  const names: string[] = []
  client.on('project.updated', ({ after }) => names.push(after.name))
  await when(client.connection, ({ state }) => state === 'live')
  let readies = 0
  client.on('ready', () => readies++)
  let n = 0
  await until(async () => {
    await app.sql`update projects set name = ${String(++n)} where id = ${id}`
    return readies >= 2
  })
  await until(() => names.at(-1) === String(n))
  t.same(
    names,
    names.map((_, index) => String(Number(names[0]) + index))
  )
})

/** Returns the next event of a type, and skips those before it. */
async function next<Type extends FeedEvent['type']>(
  events: AsyncIterator<FeedEvent>,
  type: Type
): Promise<Extract<FeedEvent, { type: Type }>> {
  for (;;) {
    const { done, value } = await events.next()
    if (done) throw new Error(`the events ended before ${type}`)
    if (value.type === type) return value as Extract<FeedEvent, { type: Type }>
  }
}
