import { randomUUID } from 'node:crypto'
import type { Page } from 'playwright-core'
import t from 'tap'
import {
  addItems,
  addSession,
  launch,
  launchWithCache,
  openList,
  readRevs,
  refusedRefresh,
  type Service,
  signIn,
  skip,
  startService,
  testPages,
  untilSame,
  untilShown
} from '../support/chromium.ts'
import { addMember, createChecklist, createProject, insertProject } from '../support/projects.ts'
import { until } from '../support/until.ts'
import { createUser } from '../support/users.ts'

t.test('clients in the tabs of Chromium', { skip }, async t => {
  const service = await startService(t)
  const { app } = service
  const browser = await launchWithCache(t)

  const shortLived = await startService(t, { ACCESS_TOKEN_TTL: '3' })

  testPages(
    t,
    'ten tabs share one stream, one socket and one token',
    shortLived,
    async (t, setup) => {
      const { user, listId } = await createList(shortLived)
      const device = await setup.openDevice(browser)
      const first = await device.openTab()
      await signIn(first, user)
      const tabs = [first, ...(await Promise.all(Array.from({ length: 9 }, device.openTab)))]
      await Promise.all(tabs.map(tab => openList(tab, listId)))
      t.strictSame(await setup.connections(), [1, 1])

      await insertItem(listId, 'by SQL', shortLived)
      await Promise.all(tabs.map(tab => untilShown(tab, listId, 'by SQL')))
      const tenth = tabs.at(-1) as Page
      const projectId = await insertProject(shortLived.app.sql, user.id)
      await tenth.evaluate(
        id => concord.when(concord.client.projects, all => all?.some(project => project.id === id)),
        projectId
      )
      await addItems(tenth, listId, 'by the tenth tab')
      await Promise.all(tabs.map(tab => untilShown(tab, listId, 'by the tenth tab')))

      // On a busy machine a token can expire while a request is on its way. Then the client sends the request again.
      setup.expect(/403 \(Forbidden\) \(\S+\/auth\/sessions\)$/)
      let refreshes = 0
      device.context.on('request', request => {
        if (request.url().endsWith('/auth/refresh')) refreshes++
      })
      const start = Date.now()
      while (Date.now() - start < 5000)
        await Promise.all(
          tabs.map(tab => tab.evaluate(() => concord.client.account.sessions().then(() => {})))
        )
      // The leader refreshes after at least 1.1 s: a life of 3 s counts as 2 s, less the time ahead.
      const most = Math.ceil((Date.now() - start) / 1100)
      t.ok(refreshes >= 2 && refreshes <= most, `${refreshes} refreshes, at most ${most}`)
      for (const tab of tabs)
        t.equal(await tab.evaluate(() => concord.client.session.get().state), 'signed-in')
      t.strictSame(await setup.connections(), [1, 1])
    }
  )

  testPages(t, 'another tab leads when the leader ends', service, async (t, setup) => {
    const { user, listId } = await createList(service)
    const device = await setup.openDevice(browser)

    let leader = await device.openTab()
    await signIn(leader, user)
    await openList(leader, listId)
    for (const end of ['closes', 'crashes', 'freezes', 'freezes'] as const) {
      const follower = await device.openTab()
      await openList(follower, listId)
      const rev = await follower.evaluate(id => concord.open(id).get()?.rev ?? 0, listId)
      await insertItem(listId, `before the leader ${end}`)
      const thaw = await endTab(leader, end)
      // Its fate is unknown to the follower: nothing of this may be lost.
      await insertItem(listId, `after the leader ${end}`)
      await follower.evaluate(id => {
        concord.open(id).add('typed without a leader')
      }, listId)
      await untilSame(follower, service, listId)
      await until(async () => `${await setup.connections()}` === '1,1', 15_000)

      const revs = await readRevs(app, listId, rev)
      await until(async () => (await readReceived(follower, listId)).events.length >= revs.length)
      const received = await readReceived(follower, listId)
      t.strictSame(received.changes, revs, `the leader ${end}: each change once`)
      t.strictSame(received.events, revs, `the leader ${end}: each event once`)

      await thaw()
      if (end === 'freezes') {
        await insertItem(listId, 'after the thaw')
        await untilSame(leader, service, listId)
        await addItems(leader, listId, 'typed after the thaw')
        await untilSame(follower, service, listId)
        await until(async () => `${await setup.connections()}` === '1,1')
        await leader.close()
      }
      leader = follower
    }
  })

  testPages(t, 'a page from the back/forward cache is live again', service, async (t, setup) => {
    const { user, listId } = await createList(service)
    const device = await setup.openDevice(browser)
    const only = await device.openTab()
    await signIn(only, user)
    await openList(only, listId)

    await awayAndBack(only, setup.url, async () => {
      await until(async () => `${await setup.connections()}` === '0,0')
      await insertItem(listId, 'while the page was away')
    })
    await untilSame(only, service, listId)

    const other = await device.openTab()
    await openList(other, listId)
    await awayAndBack(only, setup.url, () => addItems(other, listId, 'by the other tab'))
    await untilSame(only, service, listId)
    await addItems(only, listId, 'by the page that returned')
    await untilSame(other, service, listId)
    await until(async () => `${await setup.connections()}` === '1,1')
    t.equal(await only.evaluate(() => concord.pageShows.at(-1)), true)
  })

  testPages(t, 'a page from the back/forward cache has the new user', service, async (t, setup) => {
    setup.expect(refusedRefresh)
    const { user, listId } = await createList(service)
    const device = await setup.openDevice(browser)
    const tab = await device.openTab()
    await signIn(tab, user)
    await openList(tab, listId)
    await goAway(tab, setup.url)
    const other = await device.openTab()
    await other.evaluate(() => concord.client.signOut())
    await goBack(tab)
    await tab.evaluate(() =>
      concord.when(concord.client.session, ({ state }) => state === 'signed-out')
    )

    let isBob = false
    await awayAndBack(tab, setup.url, async () => {
      if (!isBob) await signIn(other, await createUser(app, 'Bob'))
      isBob = true
    })
    const name = await tab.evaluate(async () => {
      const session = await concord.when(
        concord.client.session,
        ({ state }) => state === 'signed-in'
      )
      return session.state === 'signed-in' && session.user.name
    })
    t.equal(name, 'Bob')
    t.equal(await tab.evaluate(() => concord.pageShows.at(-1)), true)
  })

  testPages(t, 'two people see each other and a conflict of theirs', service, async (t, setup) => {
    const { user: ann, listId, projectId } = await createList(service)
    const bob = await createUser(app, 'Bob')
    await addMember(ann, projectId, bob)
    const tabs = await Promise.all(
      [ann, bob].map(async user => {
        const tab = await (await setup.openDevice(browser)).openTab()
        await signIn(tab, user)
        await openList(tab, listId)
        return tab
      })
    )
    const [annTab, bobTab] = tabs as [Page, Page]
    const names = await Promise.all(
      tabs.map(tab =>
        tab.evaluate(async id => {
          const view = await concord.when(concord.open(id), view => view?.people.length)
          return view?.people.map(({ name }) => name)
        }, listId)
      )
    )
    t.strictSame(names, [['Bob'], ['Ann']])

    await addItems(annTab, listId, 'Milk')
    await untilSame(bobTab, service, listId)
    await annTab.evaluate(id => {
      const list = concord.open(id)
      list.show({ itemId: list.get()?.items[0]?.id, field: 'text', caret: 2 })
    }, listId)
    const shown = await bobTab.evaluate(async id => {
      const list = concord.open(id)
      const view = await concord.when(list, view => view?.items[0]?.people.length)
      return view?.items[0]?.people.map(({ name, state }) => [name, state.caret])
    }, listId)
    t.strictSame(shown, [['Ann', 2]])

    setup.disconnect()
    for (const [tab, dueOn] of [
      [annTab, '2027-01-01'],
      [bobTab, '2027-02-02']
    ] as const)
      await tab.evaluate(
        ([id, dueOn]) => {
          const list = concord.open(id)
          list.set(list.get()?.items[0]?.id ?? '', { dueOn })
        },
        [listId, dueOn] as const
      )
    await setup.reconnect()
    const conflicts = await Promise.all(
      tabs.map(tab =>
        tab.evaluate(async id => {
          const view = await concord.when(concord.open(id), view => view?.conflicts.length)
          return view?.items[0]?.conflicts.map(({ ours, theirs }) => [ours, theirs].sort())
        }, listId)
      )
    )
    const dates = ['2027-01-01', '2027-02-02']
    t.strictSame(conflicts, [[dates], [dates]])

    await bobTab.evaluate(async id => {
      const list = concord.open(id)
      const { outcome } = await list.resolve(list.get()?.conflicts[0]?.id ?? '', 'theirs').settled
      if (outcome !== 'applied') throw new Error(outcome)
    }, listId)
    for (const tab of tabs) {
      await tab.evaluate(
        id => concord.when(concord.open(id), view => view?.conflicts.length === 0),
        listId
      )
      await untilSame(tab, service, listId)
    }
  })

  testPages(t, 'a page is checked for violations of its policy', service, async (t, setup) => {
    const device = await setup.openDevice(browser)
    const tab = await device.openTab()
    const error = await tab.evaluate(() => {
      try {
        document.body.innerHTML = '<b>text</b>'
      } catch (error) {
        return (error as Error).name
      }
    })
    t.equal(error, 'TypeError')
    await until(() =>
      setup.problems.some(text => text.startsWith('CSP violation: require-trusted'))
    )
    setup.problems.length = 0
  })

  /** Creates a user with a project and a checklist. */
  async function createList({ app }: Service) {
    const user = await createUser(app)
    const projectId = await createProject(user)
    return { user, projectId, listId: await createChecklist(user, projectId) }
  }

  async function insertItem(listId: string, text: string, { app } = service) {
    await app.sql`
      insert into checklist_items (id, checklist_id, text)
      values (${randomUUID()}, ${listId}, ${text})`
  }
})

t.test('clients on a page without HTTPS', { skip }, async t => {
  const service = await startService(t)
  const browser = await launch(t, ['--host-resolver-rules=MAP concord.test 127.0.0.1'])

  testPages(t, 'each tab connects alone and logs it once', service, async (t, setup) => {
    const user = await createUser(service.app)
    const listId = await createChecklist(user, await createProject(user))
    const url = setup.url.replace('127.0.0.1', 'concord.test')
    const device = await setup.openDevice(browser, url)
    // As a proxy would that serves HTTPS elsewhere: the browser itself stores no Secure cookie of such a page.
    await addSession(device.context, url, user)

    const tabs = [await device.openTab(), await device.openTab()] as const
    for (const tab of tabs) await openList(tab, listId)
    t.strictSame(await setup.connections(), [2, 2])
    for (const [n, tab] of tabs.entries()) {
      await addItems(tab, listId, `by tab ${n}`)
      t.equal(await tab.evaluate(() => 'locks' in navigator), false)
      t.match(await tab.evaluate(() => concord.lines), [
        { level: 'warn', message: /^this page has no Web Locks.*every tab connects alone$/ }
      ])
    }
    for (const tab of tabs) await untilSame(tab, service, listId)
  })

  testPages(t, 'a sign-in ends at once, without its cookie', service, async (t, setup) => {
    const user = await createUser(service.app)
    const url = setup.url.replace('127.0.0.1', 'concord.test')
    const tab = await (await setup.openDevice(browser, url)).openTab()
    await signIn(tab, user)
    await tab.evaluate(() => {
      concord.client.projects.subscribe(() => {})
    })
    const session = await tab.evaluate(() =>
      concord.when(concord.client.session, ({ state }) => state === 'signed-out')
    )
    t.strictSame(session, { state: 'signed-out', reason: 'expired' })
    setup.problems.length = 0
  })
})

/** Ends a tab. Returns a function that makes it run again if it is frozen. */
async function endTab(tab: Page, end: 'closes' | 'crashes' | 'freezes') {
  if (end === 'closes') {
    await tab.close()
  } else if (end === 'crashes') {
    await Promise.all([tab.waitForEvent('crash'), tab.goto('chrome://crash').catch(() => {})])
  } else {
    const devTools = await tab.context().newCDPSession(tab)
    await devTools.send('Page.setWebLifecycleState', { state: 'frozen' })
    return async () => {
      await devTools.send('Page.setWebLifecycleState', { state: 'active' })
    }
  }
  return async () => {}
}

/** Leaves the page and returns, again when Chromium has not kept the page in its back/forward cache. */
async function awayAndBack(tab: Page, url: string, whileAway: () => Promise<unknown>) {
  for (let tries = 0; tries < 4; tries++) {
    await goAway(tab, url)
    await whileAway()
    await goBack(tab)
    if (await tab.evaluate(() => concord.pageShows.at(-1))) return
  }
}

async function goAway(tab: Page, url: string) {
  await tab.evaluate(() => {
    location.href = '/test/away'
  })
  await tab.waitForURL(`${url}/test/away`)
}

/** Returns to the page before. There is no event `load` when it comes from the back/forward cache. */
async function goBack(tab: Page) {
  await tab.evaluate(() => history.back()).catch(() => {})
  await until(() => tab.evaluate(() => location.pathname === '/test/page'))
}

/** Returns the revisions of the changes and of the events that a tab has delivered. */
function readReceived(tab: Page, listId: string) {
  return tab.evaluate(
    id => ({
      changes: concord.open(id).revs,
      events: concord.events.map(({ type, rev }) => rev ?? type)
    }),
    listId
  )
}
