import { randomUUID } from 'node:crypto'
import { AjvCompiler } from '@fastify/ajv-compiler'
import t from 'tap'
import { ChangeKind } from '../../../schemas/change.ts'
import { build, listen } from '../../support/app.ts'
import { openLive } from '../../support/live-client.ts'
import { addMember, createChecklist, createProject } from '../../support/projects.ts'
import { openFeed } from '../../support/sse-client.ts'
import { createUser } from '../../support/users.ts'

interface Message {
  name: string
  summary: string
  payload: object
}

const app = await build(t)
const reply = await app.inject({
  url: '/docs/asyncapi.json',
  headers: { host: 'example.com:8080' }
})
const document = reply.json()
const { events, live } = document.channels as Record<string, { messages: Record<string, Message> }>

t.test('the AsyncAPI document names the requested host', async t => {
  t.equal(reply.statusCode, 200)
  t.equal(document.asyncapi, '3.0.0')
  t.match(document.servers, {
    http: { host: 'example.com:8080', protocol: 'http' },
    ws: { host: 'example.com:8080', protocol: 'ws' }
  })
})

t.test('every reference in the AsyncAPI document resolves', async t => {
  const references = [...reply.body.matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => path ?? '')
  t.ok(references.length > 0)
  for (const path of new Set(references)) {
    const target = path.split('/').reduce((node, key) => node?.[key], document)
    t.ok(target, path)
  }
})

t.test('every event and message in the AsyncAPI document has a summary', async t => {
  for (const kind of ChangeKind.enum) t.ok(events?.messages[`send.${kind}`], kind)
  for (const { messages } of [events, live] as { messages: Record<string, Message> }[]) {
    for (const { name, summary } of Object.values(messages)) t.ok(summary, name)
  }
})

t.test('every event and message that the service sends matches its schema', async t => {
  const url = await listen(app)
  const [ann, bob] = [await createUser(app, 'Ann'), await createUser(app, 'Bob')]
  const feed = await openFeed(t, url, bob.headers)
  const socket = await openLive(t, url, ann.headers)

  const projectId = await createProject(ann)
  const path = `/projects/${projectId}`
  await addMember(ann, projectId, bob, 'viewer')
  await ann.request('PATCH', path, { name: 'Fête' })
  await ann.request('PATCH', `${path}/members/${bob.id}`, { role: 'editor' })
  const listId = await createChecklist(ann, projectId)
  await socket.open(listId)
  const itemId = randomUUID()
  const op = <Kind extends string>(kind: Kind) => ({ opId: randomUUID(), kind })
  await socket.push(
    listId,
    { ...op('item.add'), itemId, text: 'Chairs', after: null },
    { ...op('item.set'), itemId, set: { dueOn: { from: null, to: '2026-06-20' } } },
    { ...op('list.rename'), from: 'To buy', to: 'To order' },
    {
      ...op('item.delete'),
      itemId,
      seen: { text: 'Chairs', done: false, dueOn: '2026-06-20' }
    }
  )
  await app.sql`insert into checklist_items (checklist_id, text) values (${listId}, 'Tables')`
  await app.sql`update checklists set deleted_at = now() where id = ${listId}`
  await app.sql`update checklists set deleted_at = null where id = ${listId}`
  socket.send({ type: 'ping', n: 1 })
  socket.send({ type: 'unknown' })
  await socket.next('error')
  await ann.request('DELETE', path)
  await feed.next('member.removed')
  await app.inject({ method: 'POST', url: '/auth/signout', headers: { cookie: bob.cookie } })
  await feed.ended

  for (const { event, data } of feed.events)
    t.strictSame(violationsOf(events, event, data), [], event)
  for (const { type, ...rest } of socket.messages) {
    t.strictSame(violationsOf(live, type, { type, ...rest }), [], type)
  }
  t.ok(violationsOf(events, 'ready', { userId: 1 })?.length, 'a wrong message has violations')
  const seen = new Set(feed.events.map(({ event }) => event))
  for (const event of ['ready', 'member.added', 'project.updated', 'item.added', 'session.ended']) {
    t.ok(seen.has(event), event)
  }
})

const compile = AjvCompiler()({}, { customOptions: { strict: false, allErrors: true } })

/** Returns the schema violations of a message that the service sent. */
function violationsOf(channel: typeof events, name: string, data: object) {
  const payload = channel?.messages[`send.${name}`]?.payload
  if (!payload) return [`${name} is not described`]
  const schema = { ...payload, components: document.components }
  const isValid = compile({ schema, method: 'GET', url: '/', httpPart: 'body' })
  return isValid(data) ? [] : isValid.errors
}
