import { randomUUID } from 'node:crypto'
import t from 'tap'
import { parseCursor } from '../../lib/cursor.ts'
import { build, database, listen, PASSWORD, person, until } from '../support/app.ts'
import { type Feed, type LiveClient, openFeed, openLive } from '../support/live-clients.ts'
import { caller } from '../support/team.ts'

// Who may hear what: every kind of event × everybody's part × stream and socket × live and replayed × node. What
// they are entitled to is worked out anew from the rows of the log.

const kinds = [
  ...['project.created', 'project.updated', 'project.deleted'],
  ...['member.added', 'member.updated', 'member.removed'],
  ...['item.added', 'item.updated', 'item.deleted'],
  ...['checklist.created', 'checklist.updated', 'checklist.deleted', 'checklist.restored'],
  ...['conflict.opened', 'conflict.updated', 'conflict.resolved'],
  'session.ended'
]

const parts = [
  'owner',
  'editor',
  'viewer',
  'left before',
  'leaves',
  'joins',
  'leaves and comes back',
  'is a stranger',
  'deletes the account'
] as const
type Part = (typeof parts)[number]
type Person = Awaited<ReturnType<typeof person>>
type Ask = ReturnType<typeof caller>

interface Row {
  pos: number
  kind: string
  projectId: string | null
  checklistId: string | null
  rev: number | null
  userId: string | null
}

const url = await database(t)
const one = await build(t, { DATABASE_URL: url })
const two = await build(t, { DATABASE_URL: url })
const nodes = [await listen(t, one), await listen(t, two)]
const people = new Map<Part, Person>()
for (const part of parts) people.set(part, await person(one, part))
const idOf = (part: Part) => (people.get(part) as Person).id
const emailOf = (part: Part) => (people.get(part) as Person).email

// One project for everybody's part, and one of somebody else who adds them all at the very end.
const connie = await person(one, 'Connie')
const askConnie = caller(one, connie)
const farewell = await made(askConnie, '/projects', { name: 'Farewell' })
const ask = caller(one, people.get('owner') as Person)
const projectId = await made(ask, '/projects', { name: 'Fair' })
const listId = await made(ask, `/projects/${projectId}/checklists`, { title: 'To buy' })
const members = `/projects/${projectId}/members`
for (const part of [
  'left before',
  'leaves',
  'leaves and comes back',
  'deletes the account'
] as const)
  await ask('POST', members, { email: emailOf(part), role: 'editor' })
await ask('POST', members, { email: emailOf('editor'), role: 'editor' })
await ask('POST', members, { email: emailOf('viewer'), role: 'viewer' })
await ask('DELETE', `${members}/${idOf('left before')}`)
const begin = await head()
for (const node of [one, two]) await node.pubsub.delivered(begin)

const streams = new Map<Part, Feed[]>()
const sockets = new Map<Part, LiveClient[]>()
for (const [part, { headers }] of people) {
  const narrow = `?project=${projectId}&project=${farewell}`
  const opened = nodes.flatMap(node => [
    openFeed(t, node, headers),
    openFeed(t, node, headers, { query: narrow })
  ])
  streams.set(part, await Promise.all(opened))
  for (const feed of streams.get(part) as Feed[]) await feed.next('ready')
  const clients = await Promise.all(nodes.map(node => openLive(t, node, headers)))
  for (const client of clients) await client.open(listId)
  sockets.set(part, clients)
}
await everythingHappens()
const rows = await readRows()

t.test('everything happened', async t => {
  t.strictSame(
    kinds.filter(kind => !rows.some(row => row.kind === kind)),
    []
  )
})

for (const part of parts) {
  const me = idOf(part)
  const isGone = part === 'deletes the account'
  const live = rows.filter(row => isLive(row, me)).map(({ pos }) => pos)
  const told = (feed: Feed) =>
    feed.events
      .filter(({ event }) => kinds.includes(event) && event !== 'session.ended')
      .map(({ id }) => parseCursor(id)?.pos)

  t.test(`who ${part}: streams that were open all the time`, async t => {
    const inBoth = rows.filter(
      ({ pos, projectId: id }) => live.includes(pos) && (id === projectId || id === farewell)
    )
    const narrow = inBoth.map(({ pos }) => pos)
    for (const [n, feed] of (streams.get(part) as Feed[]).entries()) {
      const expected = n % 2 === 0 ? live : narrow
      const name = `node ${n >> 1}, ${n % 2 === 0 ? 'all' : 'narrowed'}`
      if (isGone) {
        await feed.ended
        t.strictSame(told(feed), expected.slice(0, told(feed).length), name)
        t.equal(feed.events.at(-1)?.event, 'session.ended', name)
        continue
      }
      await until(() => told(feed).length >= expected.length)
      t.strictSame(told(feed), expected, name)
      const texts = JSON.stringify(feed.events)
      t.notOk(
        [...parts].some(other => texts.includes(emailOf(other))),
        'no email in it'
      )
    }
  })

  t.test(`who ${part}: streams that come back`, { skip: isGone }, async t => {
    const expected = rows.filter(row => isReplayed(row, me)).map(({ pos }) => pos)
    const fresh = await build(t, { DATABASE_URL: url })
    const cursor = `${one.pubsub.epoch}.${begin.toString(36)}`
    for (const node of [...nodes, await listen(t, fresh)]) {
      const feed = await openFeed(t, node, (people.get(part) as Person).headers, { cursor })
      await until(() => told(feed).length >= expected.length)
      t.strictSame(
        told(feed),
        expected,
        node === nodes[0] || node === nodes[1] ? 'from memory' : 'from the log'
      )
    }
  })

  t.test(`who ${part}: sockets`, async t => {
    // A list is opened by those who may see it then; who joins later is not told of it here.
    const mine =
      part === 'joins' ? [] : rows.filter(row => row.checklistId === listId && isLive(row, me))
    const first = mine.findIndex(
      (row, n) => row.rev !== (mine[n - 1]?.rev ?? (row.rev ?? 0) - 1) + 1
    )
    const revs = mine.slice(0, first < 0 ? undefined : first).map(({ rev }) => rev)
    for (const client of sockets.get(part) as LiveClient[]) {
      const heard = () =>
        client.messages.flatMap(({ changes = [] }) => changes.map(({ rev }) => rev))
      if (isGone) {
        t.equal(await client.closed, 4403)
        t.strictSame(heard(), revs.slice(0, heard().length))
        continue
      }
      await until(() => heard().length >= revs.length)
      t.strictSame(heard(), revs)
      const revoked = client.messages.filter(({ type }) => type === 'revoked')
      t.strictSame(
        revoked.map(({ reason }) => reason),
        expectedRevocations(part)
      )
    }
  })

  t.test(`who ${part}: the history of the list`, { skip: isGone }, async t => {
    const isMember = ['owner', 'editor', 'viewer', 'joins', 'leaves and comes back'].includes(part)
    const { headers } = people.get(part) as Person
    const reply = await two.inject({
      url: `/checklists/${listId}/changes?since=0&limit=500`,
      headers
    })
    t.equal(reply.statusCode, isMember ? 200 : 404)
    const client = await openLive(t, nodes[1] as string, headers)
    const answer = await client.open(listId, { since: 0 })
    if (!isMember) return t.match(answer, { type: 'error', code: 'CHECKLIST_NOT_FOUND' })
    const all = rows.filter(row => row.checklistId === listId && row.pos > begin)
    const since = answer.changes?.filter(({ rev }) => rev >= (all[0]?.rev ?? 0)) ?? []
    t.strictSame(
      since.map(({ rev, kind }) => [rev, kind]),
      all.map(({ rev, kind }) => [rev, kind])
    )
  })
}

function expectedRevocations(part: Part): string[] {
  // The list was deleted and restored once, and followed on.
  if (part === 'leaves' || part === 'leaves and comes back') return ['deleted', 'removed']
  if (part === 'editor') return ['deleted', 'role_changed']
  if (part === 'viewer') return ['deleted', 'role_changed', 'role_changed']
  return part === 'owner' ? ['deleted'] : []
}

/** The times of membership of somebody, with both ends. */
function staysOf(me: string) {
  const stays: { projectId: string | null; from: number; to: number }[] = []
  for (const { kind, pos, projectId, userId } of rows) {
    if (userId !== me) continue
    if (kind === 'member.added') stays.push({ projectId, from: pos, to: Number.POSITIVE_INFINITY })
    const stay = stays.findLast(one => one.projectId === projectId)
    if (kind === 'member.removed' && stay) stay.to = pos
  }
  return stays
}

/** Whether somebody who is there all the time is told: what happens while they are a member, and what is about them. */
function isLive({ pos, projectId, userId }: Row, me: string): boolean {
  if (pos <= begin || projectId === null) return false
  const within = staysOf(me).some(
    stay => stay.projectId === projectId && stay.from <= pos && pos <= stay.to
  )
  return within || userId === me
}

/** Whether somebody who comes back is told: of what they are in now, what came since; of what they left, that. */
function isReplayed({ pos, projectId, userId, kind }: Row, me: string): boolean {
  if (pos <= begin || projectId === null) return false
  const now = staysOf(me).find(
    stay => stay.projectId === projectId && stay.to === Number.POSITIVE_INFINITY
  )
  if (now && pos > now.from) return true
  return userId === me && (now !== undefined || kind === 'member.removed')
}

async function everythingHappens() {
  const { sql } = two
  const askEditor = caller(two, people.get('editor') as Person)
  const ops = (by: Ask, ...list: object[]) =>
    by('POST', `/checklists/${listId}/ops`, {
      ops: list.map(op => ({ opId: randomUUID(), ...op }))
    })
  const text = (itemId: string, from: string, to: string) => ({
    kind: 'item.set',
    itemId,
    set: { text: { from, to } }
  })

  await ask('PATCH', `/projects/${projectId}`, { name: 'Summer fair' })
  const [itemId, other] = [randomUUID(), randomUUID()]
  const add = { kind: 'item.add', after: null, done: false }
  await ops(ask, { ...add, itemId, text: 'Order chairs' }, { ...add, itemId: other, text: 'Milk' })
  await sql`update checklist_items set done = true where id = ${other}`
  await sql`delete from checklist_items where id = ${other}`
  await sql`insert into checklist_items (checklist_id, text) values (${listId}, 'with SQL')`
  await ask('POST', `/projects/${projectId}/checklists`, { title: 'Another' })

  await ops(ask, text(itemId, 'Order chairs', 'Order stools'))
  await ops(askEditor, text(itemId, 'Order chairs', 'Order sofas'))
  await ops(
    askEditor,
    text(itemId, 'Order sofas', 'Order beds'),
    text(itemId, 'Order chairs', 'Order beds')
  )
  const [conflict] = await sql`select id from conflicts where resolved_at is null`
  await ops(ask, {
    kind: 'conflict.resolve',
    conflictId: conflict?.id,
    choice: 'ours',
    seen: 'Order stools'
  })

  await ops(ask, { kind: 'list.rename', from: 'To buy', to: 'To get' })
  await ops(ask, { kind: 'list.delete', seenRev: 999, force: true })
  await ops(ask, { kind: 'list.restore' })

  await ask('POST', members, { email: emailOf('joins'), role: 'viewer' })
  await ask('DELETE', `${members}/${idOf('leaves')}`)
  await sql`delete from project_members where user_id = ${idOf('leaves and comes back')}`
  await ask('PATCH', `${members}/${idOf('editor')}`, { role: 'viewer' })
  await sql`update project_members set role = 'editor' where user_id = ${idOf('viewer')} and project_id = ${projectId}`
  await sql`update project_members set role = 'viewer' where user_id = ${idOf('viewer')} and project_id = ${projectId}`
  await ops(ask, { ...add, itemId: randomUUID(), text: 'not for who left' })
  await ask('POST', members, { email: emailOf('leaves and comes back'), role: 'editor' })
  await ops(ask, { ...add, itemId: randomUUID(), text: 'for who came back' })
  await two.inject({
    method: 'DELETE',
    url: '/users/me',
    headers: people.get('deletes the account')?.headers,
    payload: { password: PASSWORD }
  })

  // A project that comes and goes, and one that nobody of these is in.
  const short = await made(ask, '/projects', { name: 'Short' })
  await ask('POST', `/projects/${short}/members`, { email: emailOf('editor'), role: 'viewer' })
  await made(ask, `/projects/${short}/checklists`, { title: 'Short' })
  await ask('DELETE', `/projects/${short}`)
  const foreign = await made(askConnie, '/projects', { name: 'Foreign' })
  await sql`insert into checklists (project_id, title) values (${foreign}, 'Foreign')`
  await ops(ask, { ...add, itemId: randomUUID(), text: 'the end' })
  for (const part of parts)
    await askConnie('POST', `/projects/${farewell}/members`, {
      email: emailOf(part),
      role: 'viewer'
    })
}

async function made(by: Ask, path: string, body: object): Promise<string> {
  return (await by('POST', path, body)).json().id
}

async function head(): Promise<number> {
  const [row] = await one.sql`select max(pos)::int as head from events`
  return row?.head
}

function readRows() {
  return one.sql<Row[]>`
    select pos, kind, project_id as "projectId", checklist_id as "checklistId", rev, user_id as "userId"
    from events
    order by pos`
}
