import t from 'tap'
import { entitlementOf } from '../../lib/entitlement.ts'
import { createOperatorToken } from '../../lib/operator-token.ts'
import { readFacts } from '../../sql/explain.ts'
import { JWT_SECRET, startNode } from '../support/app.ts'
import { createDatabase } from '../support/database.ts'
import { openLive } from '../support/live-client.ts'
import { spawnService } from '../support/process.ts'
import { addMember, createChecklist, createProject } from '../support/projects.ts'
import { openFeed, positionOf } from '../support/sse-client.ts'
import { createUser, signIn } from '../support/users.ts'

const databaseUrl = await createDatabase(t)
const { app, url } = await startNode(t, { DATABASE_URL: databaseUrl })
const { sql } = app
const ann = await createUser(app, 'Ann')
const bob = await createUser(app, 'Bob')
const head = async () => (await readFacts(sql, ann.id, 0)).committedHead

async function entitlement({ id }: { id: string }, pos: number) {
  const facts = await readFacts(sql, id, pos)
  if (!facts.event) throw new Error(`no event at ${pos}`)
  return entitlementOf(facts.event, id, facts)
}

function explain(...args: string[]) {
  const env = { DATABASE_URL: databaseUrl, JWT_SECRET }
  const { exited, output } = spawnService(t, env, 'bin/explain.ts', args)
  return exited.then(([code]) => ({ code, ...output }))
}

t.test('a user is entitled to events from joining until leaving', async t => {
  const projectId = await createProject(ann)
  const before = await head()
  await createChecklist(ann, projectId)
  const early = await head()
  t.match(await entitlement(ann, early), { live: true, reason: /^a member since/, resumed: true })
  t.match(await entitlement(bob, early), { live: false, reason: /^the user was not a member/ })
  await addMember(ann, projectId, bob)
  const joined = await head()
  t.match(await entitlement(bob, early), {
    live: false,
    reason: `the user joined the project later, at position ${joined}`,
    resumed: false,
    resumedReason: `the present membership began at position ${joined}`
  })
  t.match(await entitlement(bob, joined), { live: true, reason: /about this user/, resumed: true })
  await createChecklist(ann, projectId)
  const late = await head()
  t.match(await entitlement(bob, late), { live: true, resumed: true })

  await ann.request('DELETE', `/projects/${projectId}/members/${bob.id}`)
  const left = await head()
  t.match(await entitlement(bob, late), {
    live: true,
    reason: `a member then, as editor at position ${joined}`,
    resumed: false,
    resumedReason: 'the user is not a member of the project now'
  })
  t.match(await entitlement(bob, left), { live: true, resumed: true })
  await createChecklist(ann, projectId)
  const after = await head()
  t.match(await entitlement(bob, after), {
    live: false,
    reason: `the user left the project before, at position ${left}`
  })

  await addMember(ann, projectId, bob)
  t.match(await entitlement(bob, after), { live: false, reason: /; added again at position/ })
  await ann.request('DELETE', `/projects/${projectId}`)
  t.match(await entitlement(ann, early), {
    live: true,
    resumed: false,
    resumedReason: /^the project was deleted at position/
  })

  t.test('and past memberships are unknown below the floor of the log', async t => {
    await sql`update log_state set floor_pos = ${early}`
    await sql`delete from events where pos <= ${early} and checklist_id is null`
    t.match(await entitlement(ann, early), { live: undefined, resumed: false })
    t.match((await explain(ann.email, String(before))).stdout, /Event +\d+: not known. It is older/)
    await sql`update log_state set floor_pos = 0`
  })
})

t.test('npm run explain prints event, entitlement, sessions and open connections', async t => {
  const projectId = await createProject(ann, 'Fair')
  await addMember(ann, projectId, bob)
  const old = await signIn(app, bob)
  await old.request('DELETE', '/auth/sessions')
  const listId = await createChecklist(ann, projectId)
  const feed = await openFeed(t, url, old.headers)
  await feed.next('ready')
  const live = await openLive(t, url, old.headers)
  await live.open(listId)
  await sql`insert into checklist_items (checklist_id, text) values (${listId}, 'Secret text')`
  const pos = positionOf((await feed.next('item.added')).id)
  await live.change('item.added')

  const { code, stdout, stderr } = await explain(bob.email, String(pos), '--node', url)
  t.equal(code, 0, stderr)
  t.match(stdout, new RegExp(`^Event +${pos}: item.added, .+, by no user .*source sql`, 'm'))
  t.match(stdout, /project \S+ \(Fair\)\n +checklist \S+, revision 2\n/)
  t.match(
    stdout,
    /^Entitled .*yes: a member since position \d+, now as editor\n +.*resume now.*: yes/m
  )
  t.match(stdout, new RegExp(`stream of session .+, live, .+ sent up to position ${pos}: beyond`))
  t.match(stdout, new RegExp(`checklist ${listId}, live, sent up to revision 2: beyond the event`))
  t.match(stdout, /^Not known /m)
  t.notMatch(stdout, /Secret text/)
  t.match((await explain('x@y.z', '1')).stderr, /^no user has the email x@y.z/)
  t.match((await explain(bob.email, 'aaaaaaaaaaaa.2')).stderr, /^the cursor is of epoch/)
})

t.test('GET /operator/connections needs a token for this user', async t => {
  const get = async (userId: string, token?: string) => {
    const headers = token === undefined ? {} : { 'x-concord-operator': token }
    const { statusCode } = await app.inject({ url: `/operator/connections/${userId}`, headers })
    return statusCode
  }
  const token = createOperatorToken(app.keys, ann.id)
  t.equal(await get(ann.id, token), 200)
  t.equal(await get(ann.id), 404)
  t.equal(await get(bob.id, token), 404)
  const [kid, expiry, mac] = token.split('.')
  t.equal(await get(ann.id, `${kid}.${Number(expiry) + 1}.${mac}`), 404)
  t.equal(await get(ann.id, `other.${expiry}.${mac}`), 404)
  const now = t.capture(Date, 'now', () => 0)
  const old = createOperatorToken(app.keys, ann.id)
  now.restore()
  t.equal(await get(ann.id, old), 404)
})
