import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { get, type IncomingMessage, request } from 'node:http'
import t, { type Test } from 'tap'
import { formatCursor } from '../../lib/cursor.ts'
import { holdLock } from '../support/database.ts'
import { createProject, insertProject } from '../support/projects.ts'
import { openFeed, type SseEvent } from '../support/sse-client.ts'
import { until } from '../support/until.ts'

import { addItem, nextTexts, setUpEvents, textOf } from './events-setup.ts'

// These tests mostly wait for heartbeats, expiries and reconnects, so they run concurrently.
t.jobs = 4

t.test('an idle stream receives heartbeats with the newest cursor', async t => {
  const { app, url, ann, bob } = await setUpEvents(t)
  const feed = await openFeed(t, url, bob.headers)
  const { id } = await feed.next('ready')
  await ann.request('POST', '/projects', { name: 'not of Bob' })
  const beat = await feed.next('heartbeat')
  t.strictSame(beat.data, {})
  t.not(beat.id, id)
  t.equal(beat.id, formatCursor({ epoch: app.pubsub.epoch, pos: app.pubsub.deliveredHead }))
})

t.test('the headers of a stream do not wait for the database', async t => {
  const { app, url, bob } = await setUpEvents(t)
  const release = await holdLock(app.sql, tx => tx`lock table project_members`)
  const feed = await openFeed(t, url, bob.headers)
  const events = feed.events.length
  await release()
  t.equal(events, 0)
  t.ok(await feed.next('ready'))
})

t.test('an added member receives the addition and every later event', async t => {
  const { app, url, ann, bob, projectId, listId, addBob } = await setUpEvents(t)
  const feed = await openFeed(t, url, bob.headers)
  t.match(await feed.next(), {
    event: 'ready',
    id: formatCursor({ epoch: app.pubsub.epoch, pos: app.pubsub.deliveredHead }),
    data: { userId: bob.id, epoch: app.pubsub.epoch }
  })
  await addBob()
  const added = await feed.next()
  t.match(added, {
    event: 'member.added',
    data: {
      type: 'member.added',
      projectId,
      userId: bob.id,
      role: 'editor',
      project: { id: projectId, name: 'Fair' },
      actorId: ann.id
    }
  })
  t.match(added.id, /^[0-9a-f]{12}\.[0-9a-z]+$/)
  await addItem(app, listId, 'Milk')
  t.match(await feed.next(), {
    event: 'item.added',
    data: {
      projectId,
      checklistId: listId,
      rev: 2,
      actorId: null,
      source: 'sql',
      after: { text: 'Milk' }
    }
  })
  await app.sql`update checklists set title = 'To get' where id = ${listId}`
  t.match(await feed.next(), {
    event: 'checklist.updated',
    data: { rev: 3, before: { title: 'To buy' }, after: { title: 'To get' } }
  })
  await app.sql`update projects set name = 'Fete'`
  t.match(await feed.next(), { event: 'project.updated', data: { project: { name: 'Fete' } } })
})

t.test('a user receives no event of another project', async t => {
  const { app, url, ann, bob, listId, addBob } = await setUpEvents(t)
  const [annFeed, bobFeed] = [
    await openFeed(t, url, ann.headers),
    await openFeed(t, url, bob.headers)
  ]
  await addItem(app, listId, 'Milk')
  await annFeed.next('item.added')
  await addBob()
  await bobFeed.next('member.added')
  t.strictSame(
    bobFeed.events.map(({ event }) => event),
    ['ready', 'member.added']
  )
})

t.test('the bytes of a stream are exactly those of the specification', async t => {
  const { app, url, ann, listId, projectId } = await setUpEvents(t)
  const reply = await openResponse(t, url, ann.headers)
  t.equal(reply.statusCode, 200)
  t.match(reply.headers, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-cache, no-store, no-transform',
    'x-accel-buffering': 'no'
  })
  t.notOk('content-length' in reply.headers || 'content-encoding' in reply.headers)
  let bytes = ''
  reply.setEncoding('utf8').on('data', chunk => {
    bytes += chunk
  })
  await until(() => bytes.includes('ready'))
  const itemId = randomUUID()
  const text = 'a\nb: "c"\u2028 event: x 😀'
  await app.sql`insert into checklist_items (id, checklist_id, text) values (${itemId}, ${listId}, ${text})`
  await until(() => bytes.includes('item.added'))

  const [event] = await app.sql`select pos, at from events order by pos desc limit 1`
  const { epoch } = app.pubsub
  const at = (pos: number) => formatCursor({ epoch, pos })
  const data =
    `{"type":"item.added","projectId":"${projectId}","checklistId":"${listId}","rev":2,"itemId":"${itemId}",` +
    `"actorId":null,"opId":null,"source":"sql","at":"${event?.at.toISOString()}",` +
    `"after":{"id": "${itemId}", "done": false, "text": ${JSON.stringify(text)}, "dueOn": null, "position": 1024}}`
  t.equal(
    bytes.replace(/^retry: \d{4}\n/, 'retry: 0000\n'),
    `retry: 0000\nevent: ready\nid: ${at(event?.pos - 1)}\ndata: {"userId":"${ann.id}","epoch":"${epoch}"}\n\n` +
      `event: item.added\nid: ${at(event?.pos)}\ndata: ${data}\n\n`
  )
})

t.test('a stream can be limited to some projects', async t => {
  const { app, url, ann, projectId, listId } = await setUpEvents(t)
  const second = await createProject(ann, 'Second')
  const third = await createProject(ann, 'Third')
  const one = await openFeed(t, url, ann.headers, { query: `?project=${projectId}` })
  const two = await openFeed(t, url, ann.headers, {
    query: `?project=${second}&project=${third.toUpperCase()}`
  })
  await app.sql`update projects set name = name || '!' where id = ${third}`
  await addItem(app, listId, 'Milk')
  await app.sql`update projects set name = name || '!' where id = ${second}`
  await two.next('project.updated')
  await two.next('project.updated')
  await one.next('item.added')
  t.equal(one.events.length, 2)
  t.equal(two.events.length, 3)
  const wrong = await openFeed(t, url, ann.headers, { query: '?project=x' })
  t.equal(wrong.response.status, 400)
})

t.test('a removed member receives no event after the removal', async t => {
  const { app, url, ann, bob, projectId, listId, addBob, removeBob } = await setUpEvents(t)
  const live = await openFeed(t, url, bob.headers)
  const { id: cursor } = await live.next('ready')
  await addBob()
  await addItem(app, listId, 'seen')
  await removeBob()
  await addItem(app, listId, 'unseen')
  await addBob('viewer')
  await addItem(app, listId, 'seen again')
  const kinds = ['member.added', 'item.added', 'member.removed', 'member.added', 'item.added']
  for (const kind of kinds) t.equal((await live.next()).event, kind)
  t.match(live.events[3]?.data, { userId: bob.id, projectId, role: 'editor' })

  const back = await openFeed(t, url, bob.headers, { cursor })
  // Of the time before the second join, only the membership events of the user are sent.
  const own = ['ready', 'member.added', 'member.removed', 'member.added', 'item.added']
  for (const kind of own) t.equal((await back.next()).event, kind)
  t.equal(textOf(back.events.at(-1) as SseEvent), 'seen again')

  await ann.request('DELETE', `/projects/${projectId}`)
  t.equal((await live.next()).event, 'project.deleted')
  await until(() => live.events.at(-1)?.event === 'member.removed')
  t.match(live.events.at(-1)?.data, { projectId, userId: bob.id })
  const gone = await openFeed(t, url, bob.headers, { cursor })
  for (const kind of ['ready', 'member.removed', 'member.removed']) {
    t.equal((await gone.next()).event, kind)
  }
})

t.test('a member for part of one commit receives only the events between', async t => {
  const { app, url, ann, bob, projectId, listId } = await setUpEvents(t)
  const [annFeed, bobFeed] = [
    await openFeed(t, url, ann.headers),
    await openFeed(t, url, bob.headers)
  ]
  for (const feed of [annFeed, bobFeed]) await feed.next('ready')
  await app.sql.begin(async tx => {
    const add = (text: string) =>
      tx`insert into checklist_items (checklist_id, text) values (${listId}, ${text})`
    for (const n of [1, 2]) {
      await add(`before joining ${n}`)
      await tx`
        insert into project_members (project_id, user_id, role)
        values (${projectId}, ${bob.id}, 'viewer')`
      await add(`as a member ${n}`)
      await tx`delete from project_members where user_id = ${bob.id}`
    }
    await add('before joining 3')
  })
  t.strictSame(await nextTexts(annFeed, 5), [
    ...['before joining 1', 'as a member 1', 'before joining 2', 'as a member 2'],
    'before joining 3'
  ])
  for (const n of [1, 2]) {
    t.equal((await bobFeed.next()).event, 'member.added')
    t.equal(textOf(await bobFeed.next()), `as a member ${n}`)
    t.equal((await bobFeed.next()).event, 'member.removed')
  }
  const nextId = await insertProject(app.sql, bob.id)
  t.match(await bobFeed.next(), { event: 'member.added', data: { project: { id: nextId } } })
})

t.test('the end of a session ends its streams and no others', async t => {
  const { app, url, ann, bob } = await setUpEvents(t)
  const byToken = await openFeed(t, url, ann.headers)
  const byCookie = await openFeed(t, url, { cookie: ann.cookie })
  const others = await openFeed(t, url, bob.headers)
  for (const feed of [byToken, byCookie, others]) await feed.next('ready')
  const reply = await app.inject({
    method: 'POST',
    url: '/auth/refresh',
    headers: { cookie: ann.cookie }
  })
  t.equal(reply.statusCode, 200)
  await app.inject({ method: 'POST', url: '/auth/signout', headers: { cookie: ann.cookie } })
  for (const feed of [byToken, byCookie]) {
    t.match(await feed.next(), { event: 'session.ended', data: { reason: 'signed_out' } })
    await feed.ended
    t.equal(feed.events.length, 2, 'only ready and session.ended were sent')
  }
  await app.sql`delete from users where id = ${bob.id}`
  t.match(await others.next('session.ended'), { data: { reason: 'account_deleted' } })
  await others.ended
})

t.test('a stream by token ends when it expires, one by cookie continues', async t => {
  const { app, url, ann, listId } = await setUpEvents(t, { ACCESS_TOKEN_TTL: '2' })
  const byCookie = await openFeed(t, url, { cookie: ann.cookie })
  const reply = await app.inject({
    method: 'POST',
    url: '/auth/refresh',
    headers: { cookie: ann.cookie }
  })
  const headers = { authorization: `Bearer ${reply.json().accessToken}` }
  const byToken = await openFeed(t, url, headers)
  await byToken.ended
  t.strictSame(
    byToken.events.map(({ event }) => event),
    ['ready']
  )
  t.equal((await openFeed(t, url, headers)).response.status, 403)
  await addItem(app, listId, 'Milk')
  await byCookie.next('item.added')
})

t.test('an unauthorised stream request returns 401 or 403 and no event', async t => {
  const allowed = 'https://app.example.com'
  const { app, url, ann } = await setUpEvents(t, { ALLOWED_ORIGINS: allowed })
  const status = async (headers: Record<string, string>) => {
    const feed = await openFeed(t, url, headers)
    feed.stop()
    return feed.response.status
  }
  const { cookie } = ann
  t.equal(await status({}), 401)
  t.equal(await status({ authorization: 'Bearer x' }), 401)
  t.equal(await status({ authorization: 'Basic x' }), 401)
  t.equal(await status(ann.headers), 200)
  t.equal(
    await status({ ...ann.headers, origin: 'https://evil.example' }),
    200,
    'a token is valid from any origin'
  )
  t.equal(await status({ cookie }), 200)
  t.equal(await status({ cookie: 'other=1' }), 401)
  t.equal(await status({ cookie: 'refresh=x' }), 403)
  t.equal(await status({ cookie, origin: url }), 200)
  t.equal(await status({ cookie, origin: allowed }), 200)
  t.equal(await status({ cookie, origin: 'https://evil.example' }), 403)
  t.equal(await status({ cookie, origin: 'null' }), 403)
  t.equal(await status({ cookie, 'sec-fetch-site': 'cross-site' }), 403)
  t.equal(await status({ cookie, 'sec-fetch-site': 'same-origin' }), 200)
  const feed = await openFeed(t, url, { cookie })
  t.notOk(feed.response.headers.has('set-cookie'), 'the cookie is not rotated')
  await app.inject({ method: 'POST', url: '/auth/signout', headers: { cookie } })
  t.equal(await status({ cookie }), 403)
  t.equal(await status(ann.headers), 401)
})

t.test('HEAD /events returns 405', async t => {
  const { url, ann } = await setUpEvents(t)
  const req = request(`${url}/events`, { method: 'HEAD', headers: ann.headers }).end()
  const [reply] = (await once(req, 'response')) as [IncomingMessage]
  t.equal(reply.statusCode, 405)
  t.equal(reply.headers.allow, 'GET')
  reply.resume()
  await once(reply, 'end')
})

t.test('closing the service ends every stream with a random reconnect time', async t => {
  const { app, url, ann } = await setUpEvents(t)
  const replies = await Promise.all(
    Array.from({ length: 50 }, () => openResponse(t, url, ann.headers))
  )
  const bodies = Promise.all(replies.map(body))
  const closing = app.close()
  const late = await app.inject({ url: '/events', headers: ann.headers })
  t.equal(late.statusCode, 200, 'an EventSource receives 200 while the node closes')
  t.match(late.payload, /^retry: \d+\n$/)
  await closing
  const times = new Set()
  for (const text of await bodies) {
    const [, retry] = /^retry: (\d+)\n(?:event: ready\n[\s\S]+\n\n)?$/.exec(text) ?? []
    t.ok(Number(retry) >= 1000 && Number(retry) <= 3000, `retry: ${retry}`)
    times.add(retry)
  }
  t.ok(times.size > 10, 'the reconnect times differ')
})

/** Opens `GET /events` and returns the response. */
async function openResponse(t: Test, url: string, headers: Record<string, string>) {
  const req = get(`${url}/events`, { headers, agent: false })
  t.teardown(() => req.destroy())
  const [reply] = (await once(req, 'response')) as [IncomingMessage]
  return reply
}

async function body(reply: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of reply.setEncoding('utf8')) text += chunk
  return text
}
