import { randomUUID } from 'node:crypto'
import t from 'tap'
import type { Operation } from '../../client/types.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'
import { signIn } from '../support/users.ts'
import { countConnections, follow, listen, startBrowser, type TestTab } from './link-setup.ts'

t.test('ten tabs share one stream and one socket', async t => {
  const { app, list, tab } = await startBrowser(t)
  const tabs: TestTab[] = []
  for (let n = 0; n < 10; n++) tabs.push(await tab())
  const followed = tabs.map(({ link }) => follow(link, list.listId))
  const events = tabs.map(({ link }) => listen(link))
  await until(() => followed.every(({ isCaughtUp }) => isCaughtUp))
  await until(() => tabs.every(({ link }) => link.state.get().state === 'live'))

  await list.addItems('Chairs', 'Tables')

  await until(() => followed.every(({ texts }) => texts().join() === 'Chairs,Tables'))
  await until(() => events.every(({ length }) => length === 2))
  t.same(await countConnections(app), [1, 1])
  t.equal(tabs.filter(({ link }) => link.isLeader.get()).length, 1)
})

t.test('a second tab receives a snapshot from the leader', async t => {
  const { app, list, tab } = await startBrowser(t)
  const [first, second] = [await tab(), await tab()]
  const own = follow(first.link, list.listId)
  await list.addItems('Chairs')
  await until(() => own.isCaughtUp && own.texts().length === 1)
  const queries = await countQueries(app)

  const other = follow(second.link, list.listId)

  await until(() => other.isCaughtUp)
  t.same(other.texts(), ['Chairs'])
  t.equal(other.snapshots, 1)
  t.equal(await countQueries(app), queries)
})

t.test('a tab resumes from the revision that it knows', async t => {
  const { list, tab } = await startBrowser(t)
  const { link } = await tab()
  await list.addItems('Chairs')
  const first = follow(link, list.listId)
  await until(() => first.isCaughtUp)
  first.list.close()
  await list.addItems('Tables')

  const again = follow(link, list.listId, first.state)

  await until(() => again.isCaughtUp)
  t.same(again.texts(), ['Chairs', 'Tables'])
  t.equal(again.snapshots, 0)
})

for (const loss of ['close', 'kill', 'freeze'] as const) {
  t.test(`followers lose and double nothing when their leader ends (${loss})`, async t => {
    const { list, tab } = await startBrowser(t)
    const [leader, ...others] = [await tab(), await tab(), await tab()]
    t.equal(leader.link.isLeader.get(), true)
    const followed = others.map(({ link }) => follow(link, list.listId))
    const events = others.map(({ link }) => listen(link))
    await until(() => followed.every(({ isCaughtUp }) => isCaughtUp))
    await until(() => others.every(({ link }) => link.state.get().state === 'live'))

    const writing = write(list, 20)
    await until(() => (events[0]?.length ?? 0) > 3)
    if (loss === 'close') leader.close()
    else leader.page[loss]()
    await writing

    await until(() => others.some(({ link }) => link.isLeader.get()))
    await until(() => followed.every(({ texts }) => texts().length === 20))
    await until(() => events.every(({ length }) => length >= 20))
    for (const { revs } of followed) t.same(revs, [...new Set(revs)])
    for (const received of events) t.same(received.map(revOf), numbers(2, 20))
  })
}

t.test('a leader that was frozen gives way and receives what it missed', async t => {
  const { app, list, tab } = await startBrowser(t)
  const [frozen, other] = [await tab(), await tab()]
  const followed = [follow(frozen.link, list.listId), follow(other.link, list.listId)]
  const events = [listen(frozen.link), listen(other.link)]
  await until(() => followed.every(({ isCaughtUp }) => isCaughtUp))
  frozen.page.freeze()
  await until(() => other.link.isLeader.get())
  await write(list, 5)

  frozen.page.thaw()

  await until(() => followed.every(({ texts }) => texts().length === 5))
  await until(() => events.every(({ length }) => length >= 5))
  t.same(events[0]?.map(revOf), events[1]?.map(revOf))
  t.equal(frozen.link.isLeader.get(), false)
  await until(async () => String(await countConnections(app)) === '1,1')
})

t.test('the older of two leaders gives way, and everything arrives once', async t => {
  const { app, list, tab } = await startBrowser(t)
  const tabs = [await tab(), await tab(), await tab()]
  const followed = tabs.map(({ link }) => follow(link, list.listId))
  const events = tabs.map(({ link }) => listen(link))
  await until(() => followed.every(({ isCaughtUp }) => isCaughtUp))

  const [, second] = tabs
  second?.leadAnyway()
  await write(list, 20)

  await until(() => followed.every(({ texts }) => texts().length === 20))
  await until(() => events.every(({ length }) => length >= 20))
  for (const received of events) t.same(received.map(revOf), numbers(2, 20))
  for (const { state } of followed) t.same(state?.order, followed[0]?.state?.order)
  await until(async () => String(await countConnections(app)) === '1,1')
})

t.test('a follower from the back/forward cache receives what it missed', async t => {
  const { list, tab } = await startBrowser(t)
  const [leader, hidden] = [await tab(), await tab()]
  const followed = follow(hidden.link, list.listId)
  const own = listen(leader.link)
  const events = listen(hidden.link)
  await until(() => followed.isCaughtUp)
  await write(list, 1)
  await until(() => events.length === 1)
  hidden.page.hide()
  await write(list, 3)
  await until(() => own.length === 4)

  hidden.page.show()

  await until(() => followed.texts().length === 4)
  // Its listeners load again what they show.
  await until(() => events.some(({ type }) => type === 'reset'))
})

t.test('a leader in the back/forward cache closes its connections', async t => {
  const { app, list, tab } = await startBrowser(t)
  const { link, page } = await tab()
  const followed = follow(link, list.listId)
  const events = listen(link)
  await until(() => followed.isCaughtUp && link.state.get().state === 'live')
  await write(list, 1)
  await until(() => events.length === 1)

  page.hide()
  await until(async () => String(await countConnections(app)) === '0,0')
  await write(list, 3)
  page.show()

  await until(() => followed.texts().length === 4)
  // Its listeners load again what they show.
  await until(() => events.length === 2)
  t.equal(events[1]?.type, 'reset')
})

t.test('cut connections are replaced without loss or repetition', async t => {
  const { list, tab, proxy } = await startBehindProxy(t)
  const { link } = await tab()
  const followed = follow(link, list.listId)
  const events = listen(link)
  await until(() => followed.isCaughtUp && link.state.get().state === 'live')

  for (let round = 1; round <= 5; round++) {
    const writing = write(list, 4)
    proxy.cut()
    await writing
    await until(() => followed.texts().length === 4 * round)
    await until(() => events.length === 4 * round)
  }

  t.same(events.map(revOf), numbers(2, 20))
  t.equal(followed.snapshots, 1)
})

t.test('silent connections are replaced', async t => {
  const { list, tab, proxy } = await startBehindProxy(t)
  const { link } = await tab()
  const followed = follow(link, list.listId)
  const events = listen(link)
  await until(() => followed.isCaughtUp && link.state.get().state === 'live')

  proxy.stall()
  await write(list, 3)

  await until(() => followed.texts().length === 3)
  await until(() => events.length === 3)
  t.same(events.map(revOf), numbers(2, 3))
})

t.test('the state is offline, with the time of the next try', async t => {
  const { list, tab, proxy } = await startBehindProxy(t)
  const { link } = await tab()
  const followed = follow(link, list.listId)
  await until(() => link.state.get().state === 'live')

  proxy.close()
  await until(() => link.state.get().state === 'offline')
  await until(() => link.state.get().retryAt)
  t.equal(followed.isCaughtUp, false)
  await proxy.reopen()
  link.reconnectNow()

  await until(() => link.state.get().state === 'live')
  t.equal(followed.isCaughtUp, true)
})

t.test('a push returns its results after its changes', async t => {
  const { list, tab } = await startBrowser(t)
  const [leader, other] = [await tab(), await tab()]
  const followed = follow(leader.link, list.listId)
  await until(() => followed.isCaughtUp)

  const results = await leader.link.push(list.listId, [add('Chairs')])

  t.match(results, [{ outcome: 'applied' }])
  t.same(followed.texts(), ['Chairs'])
  await t.rejects(other.link.push(list.listId, [add('Tables')]), { code: 'NETWORK' })
})

t.test('a push without an open checklist opens the socket', async t => {
  const { app, list, tab } = await startBrowser(t)
  const { link } = await tab()
  t.same(await countConnections(app), [0, 0])

  t.match(await link.push(list.listId, [add('Chairs')]), [{ outcome: 'applied' }])

  t.same(await list.texts(), ['Chairs'])
  await until(async () => String(await countConnections(app)) === '0,0')
})

t.test('the socket is open while a subscriber wants to push', async t => {
  const { tab } = await startBrowser(t)
  const { link } = await tab()
  const values: boolean[] = []

  const unsubscribe = link.canPush.subscribe(canPush => values.push(canPush))

  await until(() => values.includes(true))
  unsubscribe()
  await until(() => !link.canPush.get())
})

t.test('refused pushes reject with the code of the service', async t => {
  const { list, tab } = await startBrowser(t)
  const { link } = await tab()
  const followed = follow(link, list.listId)
  await until(() => followed.isCaughtUp)
  const malformed = { ...add('Chairs'), itemId: 'no-uuid' } as Operation

  const bad = link.push(list.listId, [malformed])
  const missing = link.push(randomUUID(), [add('Chairs')])
  await t.rejects(link.push(list.listId, [add('Tables')]), { code: 'BUSY' })
  await t.rejects(bad, { code: 'BAD_MESSAGE' })
  await missing.then(
    results => t.match(results, [{ outcome: 'rejected' }]),
    ({ code }) => t.match(code, 'CHECKLIST_NOT_FOUND')
  )

  t.match(await link.push(list.listId, [add('Tables')]), [{ outcome: 'applied' }])
})

t.test('a push in flight rejects when the connection is lost', async t => {
  const { list, tab, proxy } = await startBehindProxy(t)
  const { link } = await tab()
  const followed = follow(link, list.listId)
  await until(() => followed.isCaughtUp)
  proxy.hold()

  const push = link.push(list.listId, [add('Chairs')])
  proxy.cut()
  proxy.resume()

  await t.rejects(push, { code: 'NETWORK' })
})

t.test('a checklist that does not exist is refused', async t => {
  const { list, tab } = await startBrowser(t)
  const { link } = await tab()
  const missing = follow(link, randomUUID())
  const followed = follow(link, list.listId)

  await until(() => missing.refused.length > 0)
  t.same(missing.refused, ['CHECKLIST_NOT_FOUND'])
  await until(() => followed.isCaughtUp && link.state.get().state === 'live')
})

t.test('a removed member opens the checklist again when added', async t => {
  const { app, list, user, tab } = await startBrowser(t)
  const tabs = [await tab(), await tab()]
  const followed = tabs.map(({ link }) => follow(link, list.listId))
  await until(() => followed.every(({ isCaughtUp }) => isCaughtUp))

  await app.sql`delete from project_members where user_id = ${user.id}`
  await until(() => followed.every(({ revoked }) => revoked.includes('removed')))
  await list.addItems('Chairs')
  await app.sql`
    insert into project_members (project_id, user_id, role)
    values (${list.projectId}, ${user.id}, 'viewer')`
  for (const { list } of followed) list.resync()

  await until(() => followed.every(({ texts }) => texts().join() === 'Chairs'))
  for (const { state } of followed) t.equal(state?.role, 'viewer')
})

t.test('a checklist above the limit of a socket is refused', async t => {
  const { app, list, tab } = await startBrowser(t)
  const { link } = await tab()
  const rows = await app.sql<{ id: string }[]>`
    insert into checklists (project_id, title)
    select ${list.projectId}, 'List ' || n
    from generate_series(1, 101) n
    returning id`

  const followed = rows.map(({ id }) => follow(link, id))

  await until(() => followed.filter(({ isCaughtUp }) => isCaughtUp).length === 100)
  const [refused] = followed.filter(({ refused }) => refused.length > 0)
  t.same(refused?.refused, ['TOO_MANY_CHECKLISTS'])
  followed.find(({ isCaughtUp }) => isCaughtUp)?.list.close()
  refused?.list.resync()
  await until(() => refused?.isCaughtUp)
})

t.test('peers see one user, in the tab that was active last', async t => {
  const { list, tab, user, app, openAs } = await startBrowser(t)
  const tabs = [await tab(), await tab()]
  const [first, second] = tabs.map(({ link }) => follow(link, list.listId))
  const peer = await openAs()
  const seen = follow(peer.link, list.listId)
  await until(() => seen.peers.size === 1 && first?.peers.size === 1 && second?.peers.size === 1)

  const [one, two] = await list.addItems('Chairs', 'Tables')
  first?.list.show({ itemId: one })
  await until(() => [...seen.peers.values()][0]?.state?.itemId === one)
  second?.list.show({ itemId: two })
  await until(() => [...seen.peers.values()][0]?.state?.itemId === two)
  second?.list.show(null)
  await until(() => [...seen.peers.values()][0]?.state?.itemId === undefined)

  t.match([...seen.peers.values()], [{ userId: user.id, state: {} }])
  t.same((await countConnections(app))[1], 2)
})

t.test('an ended session closes the connections until the next sign-in', async t => {
  const { app, list, user, tab } = await startBrowser(t)
  const tabs = [await tab(), await tab()]
  const followed = tabs.map(({ link }) => follow(link, list.listId))
  listen((tabs[0] as TestTab).link)
  await until(() => followed.every(({ isCaughtUp }) => isCaughtUp))

  const other = await signIn(app, user)
  await other.request('DELETE', '/auth/sessions')
  await until(() => tabs.every(({ link }) => link.state.get().state === 'needs-sign-in'))
  t.match((tabs[1] as TestTab).session.state.get(), { reason: 'revoked' })
  await until(async () => String(await countConnections(app)) === '0,0')
  await list.addItems('Chairs')
  await tabs[1]?.session.signIn(user)

  await until(() => followed.every(({ texts }) => texts().join() === 'Chairs'))
  await until(() => tabs.every(({ link }) => link.state.get().state === 'live'))
})

t.test('another user receives nothing of the user before', async t => {
  const { list, tab, outsider } = await startBrowser(t)
  const tabs = [await tab(), await tab()] as const
  const followed = tabs.map(({ link }) => follow(link, list.listId))
  await until(() => followed.every(({ isCaughtUp }) => isCaughtUp))

  await tabs[1].session.signIn(outsider)

  await until(() => followed.every(({ refused }) => refused.includes('CHECKLIST_NOT_FOUND')))
  await list.addItems('Chairs')
  await list.addItems('Tables')
  t.same(
    followed.map(({ texts }) => texts()),
    [[], []]
  )
})

t.test('without shared tabs every tab has its own connection', async t => {
  const { app, list, tab } = await startBrowser(t)
  const tabs = [await tab({ isAlone: true }), await tab({ isAlone: true })]
  const followed = tabs.map(({ link }) => follow(link, list.listId))
  await list.addItems('Chairs')

  await until(() => followed.every(({ texts }) => texts().join() === 'Chairs'))
  t.same(await countConnections(app), [0, 2])
})

t.test('a restored backup replaces the state of a checklist', async t => {
  const { app, list, tab } = await startBrowser(t)
  const { link } = await tab()
  await list.addItems('Chairs', 'Tables')
  const first = follow(link, list.listId)
  await until(() => first.isCaughtUp)
  first.list.close()
  const known = { ...(first.state as NonNullable<typeof first.state>), rev: 99, epoch: 'another' }

  const again = follow(link, list.listId, known)

  await until(() => again.isCaughtUp)
  t.equal(again.snapshots, 1)
  t.equal(again.state?.epoch, first.state?.epoch)
  t.ok(app)
})

t.test('a tab that is gone is forgotten', async t => {
  const { app, list, tab } = await startBrowser(t)
  const [leader, gone] = [await tab(), await tab()]
  const followed = follow(gone.link, list.listId)
  await until(() => followed.isCaughtUp)
  t.same(await countConnections(app), [0, 1])

  gone.page.kill()

  await until(async () => String(await countConnections(app)) === '0,0')
  t.equal(leader.link.isLeader.get(), true)
})

async function startBehindProxy(t: Parameters<typeof startBrowser>[0]) {
  let proxy: Awaited<ReturnType<typeof tcpProxy>> | undefined
  const started = await startBrowser(t, {
    async address(url) {
      proxy = await tcpProxy(t, url)
      return proxy.url
    }
  })
  return { ...started, proxy: proxy as NonNullable<typeof proxy> }
}

/** Adds items, each in an operation of its own. */
async function write(list: { addItems(text: string): Promise<unknown> }, count: number) {
  for (let n = 0; n < count; n++) await list.addItems(`Item ${n}`)
}

function add(text: string): Operation {
  return { opId: randomUUID(), kind: 'item.add', itemId: randomUUID(), text, after: null }
}

function revOf(event: object): number | undefined {
  return (event as { rev?: number }).rev
}

function numbers(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, n) => first + n)
}

async function countQueries(app: Parameters<typeof countConnections>[0]) {
  const { payload } = await app.inject('/metrics')
  return /^concord_catch_ups_total.*$/gm.exec(payload)?.[0]
}
