import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { build, listen } from '../support/app.ts'
import { openLive } from '../support/live-client.ts'
import { addMember, createChecklist, createProject, insertMember } from '../support/projects.ts'
import { suspendTail } from '../support/suspend.ts'
import { until } from '../support/until.ts'
import { createUser } from '../support/users.ts'

/** Creates two members, the second with `role`, and a checklist with one item. */
async function createSharedList(app: FastifyInstance, role = 'editor') {
  const [ann, bob] = [await createUser(app, 'Ann'), await createUser(app, 'Bob')]
  const projectId = await createProject(ann)
  await addMember(ann, projectId, bob, role)
  const listId = await createChecklist(ann, projectId)
  const itemId = randomUUID()
  await app.operations.submit({
    sessionId: randomUUID(),
    actorId: ann.id,
    checklistId: listId,
    source: 'http',
    ops: [{ opId: randomUUID(), kind: 'item.add', after: null, itemId, text: 'Milk' }]
  })
  return { ann, bob, projectId, listId, itemId }
}

const setText = (itemId: string, from: string, to: string) => ({
  opId: randomUUID(),
  kind: 'item.set' as const,
  itemId,
  set: { text: { from, to } }
})

t.test('an edit reaches other members, and its author before the acknowledgement', async t => {
  const app = await build(t)
  const url = await listen(app)
  const { ann, bob, listId, itemId } = await createSharedList(app)
  const [a, b] = [await openLive(t, url, ann.headers), await openLive(t, url, bob.headers)]
  const { checklist } = await a.open(listId)
  t.match(checklist, {
    rev: 2,
    title: 'To buy',
    role: 'owner',
    items: [{ id: itemId, text: 'Milk' }],
    conflicts: []
  })
  await b.open(listId)

  const op = setText(itemId, 'Milk', 'Oat milk')
  const [result] = await a.push(listId, op)
  t.strictSame(result, { opId: op.opId, outcome: 'applied', rev: 3 })
  const change = {
    rev: 3,
    kind: 'item.updated',
    itemId,
    actorId: ann.id,
    opId: op.opId,
    source: 'ws'
  }
  t.match(await b.change(), { ...change, before: { text: 'Milk' }, after: { text: 'Oat milk' } })
  const [changes, ack] = a.messages.slice(-2)
  t.match(changes, { type: 'changes', from: 3, to: 3, head: 3, changes: [change] })
  t.equal(ack?.type, 'ack')
})

t.test('a change by plain SQL reaches every member', async t => {
  const app = await build(t)
  const url = await listen(app)
  const { ann, bob, listId } = await createSharedList(app)
  const [a, b] = [await openLive(t, url, ann.headers), await openLive(t, url, bob.headers)]
  await a.open(listId)
  await b.open(listId)
  await app.sql`update checklist_items set done = true`
  for (const client of [a, b]) {
    t.match(await client.change(), {
      rev: 3,
      actorId: null,
      opId: null,
      source: 'sql',
      after: { done: true }
    })
  }
})

t.test('a reconnecting client receives only the changes it missed', async t => {
  const app = await build(t)
  const url = await listen(app)
  const { ann, listId, itemId } = await createSharedList(app)
  const a = await openLive(t, url, ann.headers)
  await a.open(listId)
  await a.push(listId, setText(itemId, 'Milk', 'Oat milk'))
  await a.push(listId, setText(itemId, 'Oat milk', 'Soy milk'))
  const again = await openLive(t, url, ann.headers)
  t.match(await again.open(listId, { since: 2 }), { type: 'changes', from: 3, to: 4, head: 4 })
  await a.push(listId, setText(itemId, 'Soy milk', 'Rice milk'))
  t.match(await again.next('changes'), { from: 5, to: 5 })
  const nothingNew = { type: 'changes', from: 6, to: 5, head: 5, changes: [] }
  t.match(await again.open(listId, { since: 5 }), nothingNew, 'an empty range without new changes')

  const stale = await openLive(t, url, ann.headers)
  stale.send({ type: 'open', checklistId: listId, since: 2, epoch: 'another' })
  t.match(await stale.next('reset'), { reason: 'restored' })
  t.match(await stale.next('snapshot'), { checklist: { rev: 5 } })
  stale.send({ type: 'open', checklistId: listId, since: 99 })
  t.match(await stale.next('reset'), { reason: 'compacted' })
  t.match(await stale.next('snapshot'), { checklist: { rev: 5 } })
})

t.test('a node that cannot read the log closes the socket without acknowledgement', async t => {
  const app = await build(t)
  const { ann, listId, itemId } = await createSharedList(app)
  const a = await openLive(t, await listen(app), ann.headers)
  await a.open(listId)
  await suspendTail(t, app)
  const op = setText(itemId, 'Milk', 'Oat milk')
  a.send({ type: 'push', checklistId: listId, ops: [op] })
  t.equal(await a.closed, 1012)
  t.notOk(a.messages.some(({ type }) => type === 'ack'))

  const other = await build(t, { DATABASE_URL: app.config.databaseUrl })
  const again = await openLive(t, await listen(other), ann.headers)
  t.match(await again.open(listId, { since: 2 }), { changes: [{ rev: 3, opId: op.opId }] })
  t.match(await again.push(listId, op), [{ outcome: 'applied', rev: 3, duplicate: true }])
})

t.test('events older than a snapshot are not sent after it', async t => {
  const app = await build(t)
  const url = await listen(app)
  const { bob, projectId, listId } = await createSharedList(app)
  const b = await openLive(t, url, bob.headers)
  const resume = await suspendTail(t, app)
  const addBob = (role: string) => insertMember(app.sql, projectId, bob.id, role)
  const removeBob = () => app.sql`delete from project_members where user_id = ${bob.id}`
  await removeBob()
  await addBob('viewer')
  t.match(await b.open(listId), { type: 'snapshot', checklist: { role: 'viewer' } })
  await app.sql`update checklists set title = 'To get' where id = ${listId}`
  resume()
  t.match(await b.change(), { kind: 'checklist.updated' })
  t.notOk(b.messages.some(({ type }) => type === 'revoked'))
  await removeBob()
  t.match(await b.next('revoked'), { reason: 'removed' })
  await addBob('editor')
  t.match(await b.open(listId), { type: 'snapshot', checklist: { role: 'editor' } })
})

t.test('a removed member receives revoked and no further change', async t => {
  const app = await build(t)
  const url = await listen(app)
  const { ann, bob, projectId, listId, itemId } = await createSharedList(app)
  const [a, b] = [await openLive(t, url, ann.headers), await openLive(t, url, bob.headers)]
  await a.open(listId)
  await b.open(listId)
  await app.sql`update project_members set role = 'viewer' where user_id = ${bob.id}`
  t.match(await b.next('revoked'), { checklistId: listId, reason: 'role_changed', role: 'viewer' })
  t.match(await b.push(listId, setText(itemId, 'Milk', 'Tea')), [
    { outcome: 'rejected', code: 'forbidden' }
  ])

  await app.inject({
    method: 'DELETE',
    url: `/projects/${projectId}/members/${bob.id}`,
    headers: ann.headers
  })
  t.match(await b.next('revoked'), { checklistId: listId, reason: 'removed' })
  await a.push(listId, setText(itemId, 'Milk', 'Oat milk'))
  b.send({ type: 'ping', n: 7 })
  t.match(await b.next('pong'), { n: 7 })
  t.equal(b.messages.filter(({ type }) => type === 'changes').length, 0)
  t.match(await b.open(listId), { type: 'error', code: 'CHECKLIST_NOT_FOUND', checklistId: listId })
})

t.test('deleting a checklist or its project sends revoked', async t => {
  const app = await build(t)
  const url = await listen(app)
  const { ann, bob, projectId, listId } = await createSharedList(app)
  const [a, b] = [await openLive(t, url, ann.headers), await openLive(t, url, bob.headers)]
  await a.open(listId)
  await b.open(listId)
  await a.push(listId, { opId: randomUUID(), kind: 'list.delete', seenRev: 2 })
  t.match(await b.change(), { kind: 'checklist.deleted' })
  t.match(await b.next('revoked'), { reason: 'deleted' })
  const late = await openLive(t, url, bob.headers)
  t.match(await late.open(listId), { type: 'error', code: 'CHECKLIST_DELETED' })
  await a.push(listId, { opId: randomUUID(), kind: 'list.restore' })
  t.match(await b.change(), { kind: 'checklist.restored' })
  await app.inject({ method: 'DELETE', url: `/projects/${projectId}`, headers: ann.headers })
  t.match(await b.next('revoked'), { reason: 'deleted' })
})

t.test('an outsider and malformed messages receive errors, the socket stays open', async t => {
  const app = await build(t)
  const url = await listen(app)
  const { listId, itemId } = await createSharedList(app)
  const eve = await createUser(app, 'Eve')
  const client = await openLive(t, url, eve.headers)
  t.match(await client.open(listId), { type: 'error', code: 'CHECKLIST_NOT_FOUND' })
  t.match(await client.open(randomUUID()), { type: 'error', code: 'CHECKLIST_NOT_FOUND' })
  t.match(await client.push(listId, setText(itemId, 'Milk', 'Mine')), [
    { outcome: 'rejected', code: 'not_found' }
  ])
  const hostile = [
    'no json',
    '[]',
    'null',
    '"x"',
    '{}',
    '{"type":"fly"}',
    '{"type":"open"}',
    '{"type":"open","checklistId":7}',
    '{"type":"open","checklistId":"x"}',
    `{"type":"open","checklistId":"${listId}","more":1}`,
    `{"type":"push","checklistId":"${listId}","ops":[]}`,
    `{"type":"push","checklistId":"${listId}","ops":[{}]}`,
    '{"type":"ping","n":"\\u0000"}',
    '{"type":"auth","accessToken":"\\ud800"}'
  ]
  for (const text of hostile) {
    client.socket.send(text)
    t.match(await client.next('error'), { code: 'BAD_MESSAGE', message: /\w+ / }, text)
  }
  for (let n = hostile.length; n < 20; n++) client.socket.send('x')
  t.equal(await client.closed, 4400)
  const binary = await openLive(t, url, eve.headers)
  binary.socket.send(Buffer.from('{}'))
  t.equal(await binary.closed, 1003)
})

t.test('an unauthorised socket request returns 401 or 403, not 101', async t => {
  const app = await build(t)
  const url = await listen(app)
  const ann = await createUser(app)
  const status = async (headers: Record<string, string>) => {
    const [error] = await Promise.allSettled([openLive(t, url, headers)])
    return error.status === 'rejected' ? /\d{3}/.exec(String(error.reason))?.[0] : '101'
  }
  t.equal(await status({}), '401')
  t.equal(await status({ authorization: 'Bearer x' }), '401')
  t.equal(await status({ ...ann.headers, origin: 'https://evil.example' }), '403')
  t.equal(await status({ cookie: ann.cookie }), '101')
  t.equal(await status({ cookie: ann.cookie, origin: url }), '101')
  t.equal(await status({ cookie: ann.cookie, origin: 'https://evil.example' }), '403')
  const plain = await app.inject({ url: '/live', headers: ann.headers })
  t.equal(plain.statusCode, 426)
})

t.test('an ended session closes its socket with 4403, an expired token 4401', async t => {
  const app = await build(t, { ACCESS_TOKEN_TTL: '3' })
  const url = await listen(app)
  const ann = await createUser(app)
  const byCookie = await openLive(t, url, { cookie: ann.cookie })
  const byToken = await openLive(t, url, ann.headers)
  t.equal(await byToken.closed, 4401)
  await app.inject({ method: 'POST', url: '/auth/signout', headers: { cookie: ann.cookie } })
  t.equal(await byCookie.closed, 4403)
})

t.test('closing the service closes every socket with 1012', async t => {
  const app = await build(t)
  const url = await listen(app)
  const ann = await createUser(app)
  const clients = await Promise.all(Array.from({ length: 20 }, () => openLive(t, url, ann.headers)))
  const codes = Promise.all(clients.map(({ closed }) => closed))
  await app.close()
  t.strictSame(new Set(await codes), new Set([1012]))
  await until(() => clients.every(({ socket }) => socket.readyState === socket.CLOSED))
})
