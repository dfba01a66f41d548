import { randomUUID } from 'node:crypto'
import { ConcordError, createClient, memoryStorage } from '../../../client/index.ts'
import type { Storage, Store } from '../../../client/storage.ts'
import type { Tabs } from '../../../client/tabs.ts'
import type { Checklist, Client, Sent, View } from '../../../client/types.ts'
import type { Sql } from '../../../sql/executor.ts'
import { type Browser, type BrowserTab, openBrowser } from '../../support/browser.ts'
import { insertProject } from '../../support/projects.ts'
import type { tcpProxy } from '../../support/tcp-proxy.ts'
import { until } from '../../support/until.ts'
import { insertUser, type User } from '../../support/users.ts'
import { type Command, createCommands, isSettled, pick } from './commands.ts'
import { pageStorage } from './storage.ts'
import { createWords } from './words.ts'

type Proxy = Awaited<ReturnType<typeof tcpProxy>>

export interface Tab {
  page: BrowserTab
  client: Client
  list: Checklist
  /** the name of the user, and a number */
  name: string
  isAlive: boolean
  kill(): void
  close(): Promise<void>
}

/** A browser of one user, with its connection to the service, its storage and its tabs. */
export interface Device {
  user: User
  proxy: Proxy
  storage: Storage
  store: Store
  browser: Browser
  tabs: Tab[]
  /**
   * A snapshot does not tell which operations it contains: when a result was lost, the operation is applied again over
   * newer changes, until its result arrives. So after a snapshot, it is not checked what tabs show until all is sent.
   */
  isUncertain: boolean
  /** When two tabs edited one text at the same time, the second edit is shown until one of them is a conflict. */
  isShared: boolean
}

export interface WorldParts {
  sql: Sql
  /** the users, each with a proxy before the service that belongs to this world alone */
  devices: { user: User; proxy: Proxy }[]
}

/** The clocks of the clients are fast, so a busy machine may be too slow for them again and again. */
const limits = { settleMs: 60_000 }

/** Creates a checklist with three items, and one device for each user, with one tab that has the list open. */
export async function createWorld({ sql, devices: people }: WorldParts) {
  const listId = randomUUID()
  const projectId = await insertProject(
    sql,
    await insertUser(sql),
    ...people.map(({ user }) => user.id)
  )
  await sql`insert into checklists (id, project_id, title) values (${listId}, ${projectId}, 'List')`
  for (const text of ['red green blue', 'one two three', 'north south east west'])
    await sql`insert into checklist_items (checklist_id, text) values (${listId}, ${text})`

  const faults: string[] = []
  const words = createWords(faults)
  const removedItems = new Set<string>()
  const devices: Device[] = []
  const ends: (() => unknown)[] = []
  /** what happened, for the report of a failure */
  const trace: string[] = []
  let tabCount = 0
  for (const { user, proxy } of people) {
    const storage = memoryStorage()
    await storage.setLastUser({ id: user.id, name: user.name })
    const device = {
      user,
      proxy,
      storage,
      store: await storage.open(user.id),
      browser: openBrowser({ teardown: run => ends.push(run) }, { jar: user }),
      tabs: [],
      isUncertain: false,
      isShared: false
    }
    devices.push(device)
    openTab(device)
  }

  const commands = createCommands({
    ...{ sql, listId, projectId, words, removedItems, openTab, killTab, change }
  })
  return { run, finish, close, trace }

  async function run({ kind, numbers }: Command) {
    const [a, b, c, d] = numbers
    const device = pick(devices, a)
    const tab = pick(device.tabs, b)
    trace.push(`${kind} ${numbers} by ${tab.name}`)
    await commands[kind]({ device, tab, view: tab.list.get(), c, d })
    for (const { tabs } of devices) for (const tab of tabs) checkCounts(tab)
    if (faults.length > 0) throw new Error(faults.join('\n'))
  }

  /** Opens a tab. With `isLeader` it holds the connection at once, also when another tab does. */
  function openTab(device: Device, isLeader = false) {
    const page = device.browser.openTab()
    const { storage, kill } = pageStorage(device.storage, words.store)
    const { fetch, clock } = page
    const WebSocket = class extends page.WebSocket {
      override send(text: string) {
        trace.push(`  ${tab.name} sends ${text.slice(0, 150)}`)
        super.send(text)
      }

      override set onmessage(callback: WebSocket['onmessage']) {
        super.onmessage =
          callback &&
          (event => {
            const message = JSON.parse(String(event.data))
            if (message.type === 'snapshot') onSnapshot(device)
            if (message.type === 'changes') words.receive(device.tabs, message.changes)
            trace.push(`  ${tab.name} receives ${String(event.data).slice(0, 150)}`)
            callback.call(this, event)
          })
      }
    }
    const tabs = isLeader ? { ...page.tabs, lock: lockOnce(page.tabs.lock) } : page.tabs
    const client = createClient(device.proxy.url, {
      ...{ fetch, WebSocket: WebSocket as never, storage, clock, tabs }
    })
    const list = client.checklist(listId)
    const tab: Tab = {
      ...{ page, client, list, isAlive: true, name: `${device.user.name} ${++tabCount}` },
      kill() {
        tab.isAlive = false
        page.kill()
        kill()
      },
      async close() {
        unsubscribe()
        await client.close()
      }
    }
    for (const type of [
      'ready',
      'reset',
      'member.added',
      'member.removed',
      'checklist.restored'
    ] as const)
      client.on(type, event => trace.push(`  ${tab.name} received ${JSON.stringify(event)}`))
    list.error.subscribe(error => error && trace.push(`  ${tab.name}: ${error.code}`))
    const unsubscribe = list.subscribe(view => view && tab.isAlive && checkView(tab, view))
    device.tabs.push(tab)
    return tab
  }

  function killTab(device: Device, tab: Tab) {
    device.tabs.splice(device.tabs.indexOf(tab), 1)
    tab.kill()
    words.kill(tab)
  }

  function onSnapshot(device: Device) {
    device.isUncertain ||= device.tabs.some(({ list }) => list.unsent().length > 0)
  }

  function checkView(tab: Tab, view: View) {
    const { state, unsent } = tab.client.connection.get()
    trace.push(
      `  ${tab.name} shows rev ${view.rev}, ${view.access}, ${state}, ${unsent} unsent: ${textsOf(view).join(' | ')}`
    )
    const ids = view.items.map(({ id }) => id)
    if (new Set(ids).size < ids.length) faults.push('an id is twice in a view')
    const device = devices.find(({ tabs }) => tabs.includes(tab))
    if (!device) return
    const isUnsent = device.tabs.some(({ list }) => list.unsent().length > 0)
    device.isUncertain &&= isUnsent
    device.isShared = device.tabs.length > 1 || (device.isShared && isUnsent)
    if (device.isUncertain) return
    const hidden = device.isShared ? tab.list.unsent().map(op => JSON.stringify(op)) : []
    words.checkShown(tab, textsOf(view), hidden)
  }

  function checkCounts({ client, list }: Tab) {
    const { unsent, toDecide } = client.connection.get()
    const { sending, waiting } = list.status.get()
    const view = list.get()
    if (unsent !== list.unsent().length)
      faults.push(`unsent is ${unsent}, but ${list.unsent().length} operations are unsent`)
    if (sending + waiting !== unsent)
      faults.push(`sending ${sending} and waiting ${waiting} are not ${unsent}`)
    if (view && toDecide !== view.conflicts.length)
      faults.push(`toDecide is ${toDecide}, but ${view.conflicts.length} conflicts are open`)
  }

  /** Makes a change in a tab, and records the words that it adds to the view and removes from it. */
  function change(tab: Tab, make: () => Sent | null | undefined, isUndo = false) {
    const before = tab.list.get()
    if (!before) return
    try {
      const sent = make()
      if (!sent) return
      const after = tab.list.get() ?? before
      const op = tab.list.unsent().find(({ opId }) => opId === sent.opId)
      trace.push(`  ${tab.name} made ${op ? JSON.stringify(op) : sent.opId}`)
      sent.settled.then(result => trace.push(`  ${tab.name} got ${JSON.stringify(result)}`))
      // The view may have been a frame behind, so that this change shows what others have removed, too.
      const isAlone = after.rev === before.rev
      words.change({
        ...{ tab, sent, before: textsOf(before), after: textsOf(after), isUndo: isUndo && isAlone }
      })
    } catch (error) {
      const isRefusal = error instanceof ConcordError && /^(READ_ONLY|LIMIT)$/.test(error.code)
      if (!isRefusal) throw error
    }
  }

  /** Ends all faults, waits until all tabs show the rows of the database, and checks that nothing was lost. */
  async function finish() {
    for (const { user, proxy, tabs } of devices) {
      await proxy.reopen()
      proxy.resume()
      for (const { page } of tabs) page.thaw()
      await sql`
        insert into project_members (project_id, user_id, role)
        values (${projectId}, ${user.id}, 'editor')
        on conflict (project_id, user_id) do update set role = 'editor'`
    }
    const tabs = devices.flatMap(({ tabs }) => tabs)
    try {
      await until(async () => {
        // An operation that waited may delete it again.
        await sql`
          update checklists set deleted_at = null
          where id = ${listId} and deleted_at is not null`
        return tabs.every(isSettled) && (await areStoresEmpty()) && (await areEqual(tabs))
      }, limits.settleMs)
    } catch (cause) {
      throw new Error(`the views do not converge: ${await describe(tabs)}`, { cause })
    }
    await words.find(sql, listId)
    words.checkNothingLost()
    const twice = await sql`
      select op_id, kind, coalesce(after, before) ->> 'id' as id
      from events
      where checklist_id = ${listId} and op_id is not null
      -- A move may move the items around it, too.
      and (kind <> 'item.updated' or before -> 'text' <> after -> 'text')
      group by 1, 2, 3
      having count(*) > 1`
    if (twice.length > 0) faults.push(`decided twice: ${JSON.stringify(twice)}`)
    if (faults.length > 0) throw new Error(faults.join('\n'))
  }

  /** A tab that was killed after it had stored an operation has not sent it to the leader, which reads it later. */
  async function areStoresEmpty(): Promise<boolean> {
    const stores = await Promise.all(devices.map(({ store }) => store.entries()))
    return stores.flat().length === 0
  }

  async function areEqual(tabs: Tab[]): Promise<boolean> {
    const rows = JSON.stringify(await readRows())
    return tabs.every(({ list }) => JSON.stringify(shownRows(list.get())) === rows)
  }

  async function readRows() {
    const [list] = await sql<[{ title: string }]>`select title from checklists where id = ${listId}`
    const items = await sql`
      select id, text, done, due_on::text as "dueOn" from checklist_items
      where checklist_id = ${listId}
      order by position, id`
    const conflicts = await sql`
      select id, ours, theirs from conflicts
      where checklist_id = ${listId} and resolved_at is null
      order by id`
    return { ...list, items: [...items], conflicts: [...conflicts] }
  }

  async function describe(tabs: Tab[]): Promise<string> {
    const states = tabs.map(({ client, list }) => ({
      connection: client.connection.get(),
      session: client.session.get().state,
      error: list.error.get()?.code,
      access: list.get()?.access,
      unsent: list.unsent(),
      view: JSON.stringify(shownRows(list.get()))
    }))
    return JSON.stringify({ rows: JSON.stringify(await readRows()), states }, null, 1)
  }

  async function close() {
    for (const { tabs } of devices) for (const { page } of tabs) page.thaw()
    await Promise.all(devices.flatMap(({ tabs }) => tabs.map(tab => tab.close())))
    for (const end of ends) end()
  }
}

/** Returns a lock that is granted at once for the first time, also while another tab holds it. */
function lockOnce(lock: Tabs['lock']): Tabs['lock'] {
  let isFirst = true
  return (name, options, hold) => {
    if (!isFirst) return lock(name, options, hold)
    isFirst = false
    return hold(new AbortController().signal)
  }
}

function shownRows(view: View | undefined) {
  return {
    title: view?.title,
    items: view?.items.map(({ id, text, done, dueOn }) => ({ id, text, done, dueOn })),
    conflicts: view?.conflicts
      .map(({ id, ours, theirs }) => ({ id, ours, theirs }))
      .sort((x, y) => (x.id < y.id ? -1 : 1))
  }
}

function textsOf({ title, items, conflicts }: View): string[] {
  const kept = conflicts.flatMap(({ ours, theirs }) => [ours, theirs])
  return [
    title,
    ...items.map(({ text }) => text),
    ...kept.filter(value => typeof value === 'string')
  ]
}
