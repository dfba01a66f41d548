import t from 'tap'
import {
  addItems,
  launch,
  launchProfile,
  openList,
  readItems,
  refusedRefresh,
  type Service,
  signIn,
  skip,
  startService,
  testPages,
  untilSame,
  untilShown
} from '../support/chromium.ts'
import { addMember, createChecklist, createProject } from '../support/projects.ts'
import { until } from '../support/until.ts'
import { createUser } from '../support/users.ts'

t.test('what the client stores in Chromium', { skip }, async t => {
  const service = await startService(t)
  const { app } = service
  const browser = await launch(t)

  testPages(
    t,
    'changes made offline survive a restart of the browser',
    service,
    async (t, setup) => {
      const { user, listId } = await createList(service)
      const profile = t.testdir()
      let context = await launchProfile(profile)
      t.teardown(() => context.close().catch(() => {}))
      let device = setup.watch(context)
      let tab = await device.openTab()
      await signIn(tab, user)
      await openList(tab, listId)
      await addItems(tab, listId, 'Milk', 'Bread', 'Eggs')
      const hasCopy = () =>
        tab.evaluate(
          async ([id, userId]) => {
            const [copy] = await concord.stored('checklists', userId)
            return copy?.checklist.id === id && copy.checklist.items.length === 3
          },
          [listId, user.id] as const
        )
      await until(hasCopy)

      setup.disconnect()
      await device.serveOffline()
      const made = await tab.evaluate(async id => {
        const list = concord.open(id)
        const [milk, bread, eggs] = list.get()?.items.map(item => item.id) ?? []
        list.set(milk ?? '', { text: 'Oat milk' })
        list.set(bread ?? '', { done: true })
        list.remove(eggs ?? '')
        list.add(['Coffee', 'Tea'])
        return list.unsent().map(({ opId }) => opId)
      }, listId)
      await until(async () => (await readEntries()).length === made.length)

      const shown = ['Oat milk', 'Bread', 'Coffee', 'Tea']
      await device.load(tab)
      t.strictSame(await readView(), { shown, unsent: made }, 'after a reload')
      await context.close()

      context = await launchProfile(profile)
      device = setup.watch(context)
      await device.serveOffline()
      tab = await device.openTab()
      t.strictSame(await readView(), { shown, unsent: made }, 'after a restart')
      t.strictSame(await readEntries(), made)
      t.strictSame(await readOpIds(listId), [], 'nothing has been sent')

      await setup.reconnect()

      await untilSame(tab, service, listId)
      t.strictSame(await readOpIds(listId), made)
      t.strictSame(
        (await readItems(app, listId)).map(({ text, done }) => [text, done]),
        [
          ['Oat milk', false],
          ['Bread', true],
          ['Coffee', false],
          ['Tea', false]
        ]
      )
      await until(async () => (await readEntries()).length === 0)

      function readEntries() {
        return tab.evaluate(
          async userId => (await concord.stored('entries', userId)).map(({ op }) => op.opId),
          user.id
        )
      }

      function readView() {
        return tab.evaluate(async id => {
          const list = concord.open(id)
          const view = await concord.when(list, view => view && list.unsent().length > 0)
          await concord.when(concord.client.connection, ({ state }) => state === 'offline')
          return {
            shown: view?.items.map(({ text }) => text),
            unsent: list.unsent().map(({ opId }) => opId)
          }
        }, listId)
      }
    }
  )

  testPages(t, 'what a tab stored before it crashed arrives', service, async (t, setup) => {
    const { user, listId } = await createList(service)
    const device = await setup.openDevice(browser)
    const stored: string[] = []
    await device.context.exposeFunction('onStored', (opId: string) => stored.push(opId))
    const tab = await device.openTab()
    await signIn(tab, user)
    await openList(tab, listId)
    await addItems(tab, listId, 'Milk')
    for (const isOffline of [true, false]) {
      stored.length = 0
      if (isOffline) {
        setup.disconnect()
        await device.serveOffline()
      }
      const typing = await device.openTab()
      const word = isOffline ? 'offline' : 'online'
      await typing.evaluate(
        async ([id, word]) => {
          const list = concord.open(id)
          await concord.when(list, view => view)
          let count = 0
          type()
          function type() {
            list.add(`${word} ${++count}`)
            setTimeout(type, 5)
          }
        },
        [listId, word] as const
      )
      await until(() => stored.length > 20)
      await Promise.all([
        typing.waitForEvent('crash'),
        typing.goto('chrome://crash').catch(() => {})
      ])
      const known = [...stored]
      if (isOffline) await setup.reconnect()
      await until(async () => {
        const arrived = new Set(await readOpIds(listId))
        return known.every(opId => arrived.has(opId))
      }, 40_000)
      await untilSame(tab, service, listId)
      const texts = (await readItems(app, listId)).map(({ text }) => text)
      const typed = texts.filter(text => text.startsWith(word))
      const inOrder = Array.from(typed, (_, n) => `${word} ${n + 1}`)
      t.strictSame(typed, inOrder, 'each item once, in order')
      t.ok(typed.length >= known.length)
    }
  })

  testPages(t, 'a sign-out deletes everything of the user', service, async (t, setup) => {
    setup.expect(refusedRefresh)
    const { user: ann, projectId, listId } = await createList(service, 'Ann Secretname')
    const bob = await createUser(app, 'Bob')
    const device = await setup.openDevice(browser)
    const [tab, other] = [await device.openTab(), await device.openTab()]
    await signIn(tab, ann)
    await openList(tab, listId)
    await openList(other, listId)
    await addItems(tab, listId, 'a secret item')
    await until(async () => (await readAll()).includes('a secret item'))
    t.notMatch(await readAll(), /eyJ[\w-]+\.eyJ/, 'no access token is stored')

    await tab.evaluate(() => concord.client.signOut())
    for (const one of [tab, other]) {
      const session = await one.evaluate(() =>
        concord.when(concord.client.session, ({ state }) => state === 'signed-out')
      )
      t.strictSame(session, { state: 'signed-out', reason: 'signed_out' })
    }
    await until(async () => tab.evaluate(async () => (await indexedDB.databases()).length === 1))
    const after = await readAll()
    await signIn(tab, bob)
    for (const all of [after, await readAll()])
      for (const secret of [ann.id, ann.email, 'Ann Secretname', 'a secret item', listId])
        t.notMatch(all, secret)
    setup.expect(/net::ERR_CACHE_MISS/)
    const responses = await tab.evaluate(
      async paths => {
        const found: string[] = []
        for (const path of paths) {
          const cached = { cache: 'only-if-cached', mode: 'same-origin' } as const
          await fetch(path, cached).then(
            response => response.ok && found.push(path),
            () => {}
          )
        }
        return found
      },
      ['/projects', '/users/me', `/projects/${projectId}`, `/checklists/${listId}`, '/auth/refresh']
    )
    t.strictSame(responses, [], 'no response is in the cache of the browser')
    t.equal(await tab.evaluate(id => concord.client.checklist(id).get(), listId), undefined)

    /** Returns all that scripts of the page can read on this device. */
    function readAll() {
      return tab.evaluate(async () =>
        JSON.stringify([
          await concord.databases(),
          (await indexedDB.databases()).map(({ name }) => name),
          { ...localStorage },
          { ...sessionStorage },
          await caches.keys(),
          document.cookie
        ])
      )
    }
  })

  testPages(t, 'another user deletes what an expired session left', service, async (t, setup) => {
    const { user: ann, projectId, listId } = await createList(service)
    const bob = await createUser(app, 'Bob')
    await addMember(ann, projectId, bob)
    const device = await setup.openDevice(browser)
    const tab = await device.openTab()
    await signIn(tab, ann)
    await openList(tab, listId)
    await addItems(tab, listId, 'Milk')
    setup.expect(/40[13] \((Unauthorized|Forbidden)\)/)
    await tab.evaluate(async id => {
      const list = concord.open(id)
      await concord.when(list.status, ({ waiting, sending }) => waiting + sending === 0)
    }, listId)
    setup.disconnect()
    await tab.evaluate(id => {
      concord.open(id).add('typed by Ann')
    }, listId)
    await until(async () =>
      tab.evaluate(async id => (await concord.stored('entries', id)).length === 1, ann.id)
    )
    await app.sql`delete from sessions where user_id = ${ann.id}`
    await setup.reconnect()
    const session = await tab.evaluate(() =>
      concord.when(concord.client.session, ({ state }) => state === 'signed-out')
    )
    t.match(session, { reason: /expired|revoked/ })
    t.equal(
      await tab.evaluate(async id => (await concord.stored('entries', id)).length, ann.id),
      1,
      'for the same user'
    )

    await signIn(tab, bob)
    await openList(tab, listId)
    await until(async () =>
      tab.evaluate(
        async id => !(await indexedDB.databases()).some(({ name }) => name?.endsWith(id)),
        ann.id
      )
    )
    await addItems(tab, listId, 'typed by Bob')
    t.strictSame(
      (await readItems(app, listId)).map(({ text }) => text),
      ['Milk', 'typed by Bob']
    )
  })

  for (const [way, script] of Object.entries({
    throws: `indexedDB.open = () => { throw new DOMException('refused', 'SecurityError') }`,
    fails: `{
      const open = indexedDB.open.bind(indexedDB)
      indexedDB.open = name => open(name, -0.5 + 1e16)
    }`,
    'is missing': 'delete globalThis.indexedDB; delete Window.prototype.indexedDB',
    'is not wanted': 'globalThis.usesMemory = true'
  }))
    testPages(t, `the tabs go on in memory when IndexedDB ${way}`, service, async (t, setup) => {
      const { user, listId } = await createList(service)
      const device = await setup.openDevice(browser)
      await device.context.addInitScript(script)
      const [tab, other] = [await device.openTab(), await device.openTab()]
      await signIn(tab, user)
      for (const one of [tab, other]) await openList(one, listId)
      await addItems(tab, listId, 'Milk')
      setup.disconnect()
      await other.evaluate(id => {
        concord.open(id).add('Bread')
      }, listId)
      const isStored = await other.evaluate(async () => {
        const { client, when } = concord
        await when(client.connection, ({ state, unsent }) => state === 'offline' && unsent === 1)
        return client.connection.get().isStored
      })
      t.equal(isStored, false)
      await setup.reconnect()
      for (const one of [tab, other]) await untilSame(one, service, listId)
      t.equal((await readItems(app, listId)).length, 2)
    })

  testPages(
    t,
    'an operation is not sent as the next user of the browser',
    service,
    async (t, setup) => {
      const { user: ann, projectId, listId } = await createList(service)
      const bob = await createUser(app, 'Bob')
      await addMember(ann, projectId, bob)
      const device = await setup.openDevice(browser)
      // The tabs send each other no messages.
      await device.context.addInitScript('globalThis.isAlone = true')
      const [tab, other] = [await device.openTab(), await device.openTab()]
      await signIn(tab, ann)
      await openList(tab, listId)

      const refresh = Promise.withResolvers<void>()
      await tab.route('**/auth/refresh', async route => {
        await refresh.promise
        await route.continue()
      })
      const welcomed = new Promise(resolve =>
        tab.on('websocket', socket => socket.on('framereceived', resolve))
      )
      await signIn(other, bob)
      await welcomed
      await tab.evaluate(id => {
        concord.open(id).add('typed by Ann')
        concord.open(id).add('typed by Ann')
      }, listId)
      refresh.resolve()
      const name = await tab.evaluate(async () => {
        const session = await concord.when(
          concord.client.session,
          session => session.state === 'signed-in' && session.user.name === 'Bob'
        )
        return session.state === 'signed-in' && session.user.name
      })
      t.equal(name, 'Bob')
      await openList(other, listId)
      await addItems(other, listId, 'typed by Bob')
      await untilShown(tab, listId, 'typed by Bob')
      t.strictSame(
        (await readItems(app, listId)).map(({ text }) => text),
        ['typed by Bob']
      )
    }
  )

  /** Creates a user with a project and a checklist. */
  async function createList({ app }: Service, name?: string) {
    const user = await createUser(app, name)
    const projectId = await createProject(user)
    return { user, projectId, listId: await createChecklist(user, projectId) }
  }

  /** Returns the ids of the operations in the log that clients have made after the first one, in order. */
  async function readOpIds(listId: string): Promise<string[]> {
    const rows = await app.sql<{ opId: string }[]>`
      select op_id as "opId"
      from events
      where checklist_id = ${listId} and op_id is not null
      group by op_id
      order by min(pos)
      offset 1`
    return rows.map(({ opId }) => opId)
  }
})
