import { randomUUID } from 'node:crypto'
import t from 'tap'
import { build, listen } from '../support/app.ts'
import { createDatabase } from '../support/database.ts'
import { type LiveClient, openLive } from '../support/live-client.ts'
import { addMember, createChecklist, createProject } from '../support/projects.ts'
import { type Feed, openFeed, positionOf } from '../support/sse-client.ts'
import { until } from '../support/until.ts'
import { createUser, PASSWORD, requestAs, type SendRequest, type User } from '../support/users.ts'

// Checks every combination of event kind, history of membership, stream or socket, open or resumed, and node. The
// events that a user is entitled to are computed here from the rows of the log, without code of the service.

const kinds = [
  ...['project.created', 'project.updated', 'project.deleted'],
  ...['member.added', 'member.updated', 'member.removed'],
  ...['item.added', 'item.updated', 'item.deleted'],
  ...['checklist.created', 'checklist.updated', 'checklist.deleted', 'checklist.restored'],
  ...['conflict.opened', 'conflict.updated', 'conflict.resolved'],
  'session.ended'
]

const memberships = [
  'owner',
  'editor',
  'viewer',
  'left before',
  'leaves',
  'joins',
  'leaves and joins again',
  'is no member',
  'deletes the account'
] as const
type Membership = (typeof memberships)[number]

interface Row {
  pos: number
  kind: string
  projectId: string | null
  checklistId: string | null
  rev: number | null
  userId: string | null
}

const url = await createDatabase(t)
const one = await build(t, { DATABASE_URL: url })
const two = await build(t, { DATABASE_URL: url })
const nodes = [await listen(one), await listen(two)]
const users = new Map<Membership, User>()
for (const membership of memberships) users.set(membership, await createUser(one, membership))
const userOf = (membership: Membership) => users.get(membership) as User
const idOf = (membership: Membership) => userOf(membership).id
const emailOf = (membership: Membership) => userOf(membership).email

// The first project covers all histories of membership; in the second, its owner adds every user at the end.
const connie = await createUser(one, 'Connie')
const lastProjectId = await createProject(connie, 'Last')
const owner = userOf('owner')
const projectId = await createProject(owner)
const listId = await createChecklist(owner, projectId)
const members = `/projects/${projectId}/members`
for (const membership of [
  'left before',
  'leaves',
  'leaves and joins again',
  'deletes the account'
] as const)
  await addMember(owner, projectId, userOf(membership), 'editor')
await addMember(owner, projectId, userOf('editor'), 'editor')
await addMember(owner, projectId, userOf('viewer'), 'viewer')
await owner.request('DELETE', `${members}/${idOf('left before')}`)
const begin = await head()
for (const node of [one, two]) await node.pubsub.delivered(begin)

const streams = new Map<Membership, Feed[]>()
const sockets = new Map<Membership, LiveClient[]>()
for (const [membership, { headers }] of users) {
  const narrow = `?project=${projectId}&project=${lastProjectId}`
  const opened = nodes.flatMap(node => [
    openFeed(t, node, headers),
    openFeed(t, node, headers, { query: narrow })
  ])
  streams.set(membership, await Promise.all(opened))
  for (const feed of streams.get(membership) as Feed[]) await feed.next('ready')
  const clients = await Promise.all(nodes.map(node => openLive(t, node, headers)))
  for (const client of clients) await client.open(listId)
  sockets.set(membership, clients)
}
await causeEveryEvent()
const rows = await readRows()

t.test('the scenario of this test produces every kind of event', async t => {
  t.strictSame(
    kinds.filter(kind => !rows.some(row => row.kind === kind)),
    []
  )
})

for (const membership of memberships) {
  const me = idOf(membership)
  const isGone = membership === 'deletes the account'
  const live = rows.filter(row => isLive(row, me)).map(({ pos }) => pos)
  const receivedPositions = (feed: Feed) =>
    feed.events
      .filter(({ event }) => kinds.includes(event) && event !== 'session.ended')
      .map(({ id }) => positionOf(id))

  t.test(`${membership}: open streams receive exactly the visible events`, async t => {
    const inBoth = rows.filter(
      ({ pos, projectId: id }) => live.includes(pos) && (id === projectId || id === lastProjectId)
    )
    const narrow = inBoth.map(({ pos }) => pos)
    for (const [n, feed] of (streams.get(membership) as Feed[]).entries()) {
      const expected = n % 2 === 0 ? live : narrow
      const name = `node ${n >> 1}, ${n % 2 === 0 ? 'all' : 'narrowed'}`
      if (isGone) {
        await feed.ended
        t.strictSame(
          receivedPositions(feed),
          expected.slice(0, receivedPositions(feed).length),
          name
        )
        t.equal(feed.events.at(-1)?.event, 'session.ended', name)
        continue
      }
      await until(() => receivedPositions(feed).length >= expected.length)
      t.strictSame(receivedPositions(feed), expected, name)
      const texts = JSON.stringify(feed.events)
      t.notOk(
        [...memberships].some(other => texts.includes(emailOf(other))),
        'no email of a user'
      )
    }
  })

  t.test(
    `${membership}: resumed streams receive exactly the visible events`,
    { skip: isGone },
    async t => {
      const expected = rows.filter(row => isResumed(row, me)).map(({ pos }) => pos)
      const fresh = await build(t, { DATABASE_URL: url })
      const cursor = `${one.pubsub.epoch}.${begin.toString(36)}`
      for (const node of [...nodes, await listen(fresh)]) {
        const feed = await openFeed(t, node, userOf(membership).headers, { cursor })
        await until(() => receivedPositions(feed).length >= expected.length)
        t.strictSame(
          receivedPositions(feed),
          expected,
          node === nodes[0] || node === nodes[1] ? 'from memory' : 'from the log'
        )
      }
    }
  )

  t.test(`${membership}: sockets receive exactly the visible changes`, async t => {
    // Only members at the start could open the checklist, so a user who joins later receives nothing here.
    const mine =
      membership === 'joins'
        ? []
        : rows.filter(row => row.checklistId === listId && isLive(row, me))
    const first = mine.findIndex(
      (row, n) => row.rev !== (mine[n - 1]?.rev ?? (row.rev ?? 0) - 1) + 1
    )
    const revs = mine.slice(0, first < 0 ? undefined : first).map(({ rev }) => rev)
    for (const client of sockets.get(membership) as LiveClient[]) {
      const receivedRevs = () =>
        client.messages.flatMap(({ changes = [] }) => changes.map(({ rev }) => rev))
      if (isGone) {
        t.equal(await client.closed, 4403)
        t.strictSame(receivedRevs(), revs.slice(0, receivedRevs().length))
        continue
      }
      await until(() => receivedRevs().length >= revs.length)
      t.strictSame(receivedRevs(), revs)
      const revoked = client.messages.filter(({ type }) => type === 'revoked')
      t.strictSame(
        revoked.map(({ reason }) => reason),
        expectedRevocations(membership)
      )
    }
  })

  t.test(
    `${membership}: changes return 200 to current members, 404 to others`,
    { skip: isGone },
    async t => {
      const isMember = ['owner', 'editor', 'viewer', 'joins', 'leaves and joins again'].includes(
        membership
      )
      const { headers } = userOf(membership)
      const reply = await two.inject({
        url: `/checklists/${listId}/changes?since=0&limit=500`,
        headers
      })
      t.equal(reply.statusCode, isMember ? 200 : 404)
      const client = await openLive(t, nodes[1] as string, headers)
      const opened = await client.open(listId, { since: 0 })
      if (!isMember) return t.match(opened, { type: 'error', code: 'CHECKLIST_NOT_FOUND' })
      const all = rows.filter(row => row.checklistId === listId && row.pos > begin)
      const since = opened.changes?.filter(({ rev }) => rev >= (all[0]?.rev ?? 0)) ?? []
      t.strictSame(
        since.map(({ rev, kind }) => [rev, kind]),
        all.map(({ rev, kind }) => [rev, kind])
      )
    }
  )
}

function expectedRevocations(membership: Membership): string[] {
  // The checklist was deleted and restored once while open.
  if (membership === 'leaves' || membership === 'leaves and joins again')
    return ['deleted', 'removed']
  if (membership === 'editor') return ['deleted', 'role_changed']
  if (membership === 'viewer') return ['deleted', 'role_changed', 'role_changed']
  return membership === 'owner' ? ['deleted'] : []
}

/** Returns the memberships of a user as ranges of positions, which include both ends. */
function periodsOf(me: string) {
  const periods: { projectId: string | null; from: number; to: number }[] = []
  for (const { kind, pos, projectId, userId } of rows) {
    if (userId !== me) continue
    if (kind === 'member.added')
      periods.push({ projectId, from: pos, to: Number.POSITIVE_INFINITY })
    const period = periods.findLast(one => one.projectId === projectId)
    if (kind === 'member.removed' && period) period.to = pos
  }
  return periods
}

/** Returns whether a user with an open stream receives an event: it is within a membership or about the user. */
function isLive({ pos, projectId, userId }: Row, me: string): boolean {
  if (pos <= begin || projectId === null) return false
  const within = periodsOf(me).some(
    period => period.projectId === projectId && period.from <= pos && pos <= period.to
  )
  return within || userId === me
}

/**
 * Returns whether a resumed stream receives an event: one after the user joined, if the user is still a member, or one
 * about the user. Of an ended membership only the removal is received.
 */
function isResumed({ pos, projectId, userId, kind }: Row, me: string): boolean {
  if (pos <= begin || projectId === null) return false
  const now = periodsOf(me).find(
    period => period.projectId === projectId && period.to === Number.POSITIVE_INFINITY
  )
  if (now && pos > now.from) return true
  return userId === me && (now !== undefined || kind === 'member.removed')
}

async function causeEveryEvent() {
  const { sql } = two
  const editorRequest = requestAs(two, userOf('editor'))
  const ops = (request: SendRequest, ...list: object[]) =>
    request('POST', `/checklists/${listId}/ops`, {
      ops: list.map(op => ({ opId: randomUUID(), ...op }))
    })
  const text = (itemId: string, from: string, to: string) => ({
    kind: 'item.set',
    itemId,
    set: { text: { from, to } }
  })

  await owner.request('PATCH', `/projects/${projectId}`, { name: 'Summer fair' })
  const [itemId, other] = [randomUUID(), randomUUID()]
  const add = { kind: 'item.add', after: null, done: false }
  await ops(
    owner.request,
    { ...add, itemId, text: 'Order chairs' },
    { ...add, itemId: other, text: 'Milk' }
  )
  await sql`update checklist_items set done = true where id = ${other}`
  await sql`delete from checklist_items where id = ${other}`
  await sql`insert into checklist_items (checklist_id, text) values (${listId}, 'with SQL')`
  await owner.request('POST', `/projects/${projectId}/checklists`, { title: 'Another' })

  await ops(owner.request, text(itemId, 'Order chairs', 'Order stools'))
  await ops(editorRequest, text(itemId, 'Order chairs', 'Order sofas'))
  await ops(
    editorRequest,
    text(itemId, 'Order sofas', 'Order beds'),
    text(itemId, 'Order chairs', 'Order beds')
  )
  const [conflict] = await sql`select id from conflicts where resolved_at is null`
  await ops(owner.request, {
    kind: 'conflict.resolve',
    conflictId: conflict?.id,
    choice: 'ours',
    seen: 'Order stools'
  })

  await ops(owner.request, { kind: 'list.rename', from: 'To buy', to: 'To get' })
  await ops(owner.request, { kind: 'list.delete', seenRev: 999, force: true })
  await ops(owner.request, { kind: 'list.restore' })

  await addMember(owner, projectId, userOf('joins'), 'viewer')
  await owner.request('DELETE', `${members}/${idOf('leaves')}`)
  await sql`delete from project_members where user_id = ${idOf('leaves and joins again')}`
  await owner.request('PATCH', `${members}/${idOf('editor')}`, { role: 'viewer' })
  await sql`update project_members set role = 'editor' where user_id = ${idOf('viewer')} and project_id = ${projectId}`
  await sql`update project_members set role = 'viewer' where user_id = ${idOf('viewer')} and project_id = ${projectId}`
  await ops(owner.request, { ...add, itemId: randomUUID(), text: 'after the removal' })
  await addMember(owner, projectId, userOf('leaves and joins again'), 'editor')
  await ops(owner.request, { ...add, itemId: randomUUID(), text: 'after the second join' })
  await two.inject({
    method: 'DELETE',
    url: '/users/me',
    headers: users.get('deletes the account')?.headers,
    payload: { password: PASSWORD }
  })

  // Creates and deletes a project, and creates a project of which none of these users is a member.
  const short = await createProject(owner, 'Short')
  await owner.request('POST', `/projects/${short}/members`, {
    email: emailOf('editor'),
    role: 'viewer'
  })
  await createChecklist(owner, short, 'Short')
  await owner.request('DELETE', `/projects/${short}`)
  const foreignId = await createProject(connie, 'Of others')
  await sql`insert into checklists (project_id, title) values (${foreignId}, 'Of others')`
  await ops(owner.request, { ...add, itemId: randomUUID(), text: 'the end' })
  for (const membership of memberships)
    await addMember(connie, lastProjectId, userOf(membership), 'viewer')
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
