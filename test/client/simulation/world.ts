import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { ConcordError, createClient, memoryStorage } from '../../../client/index.ts'
import type { Storage } from '../../../client/storage.ts'
import type { Checklist, Choice, Client, Conflict, Sent, View } from '../../../client/types.ts'
import type { Sql } from '../../../sql/executor.ts'
import { insertMember, insertProject } from '../../support/projects.ts'
import { createTabHub, type TabHub } from '../../support/tabs.ts'
import type { tcpProxy } from '../../support/tcp-proxy.ts'
import { until } from '../../support/until.ts'
import type { User } from '../../support/users.ts'
import { createPage, observeStorage, type Page } from './faults.ts'
import { createWords, wordsOf } from './words.ts'

type Proxy = Awaited<ReturnType<typeof tcpProxy>>

/** The commands of a run, and how often each is generated. */
export const weights = {
  edit: 30,
  add: 8,
  paste: 2,
  tick: 6,
  date: 4,
  move: 6,
  remove: 5,
  restore: 3,
  rename: 2,
  resolve: 5,
  undo: 5,
  redo: 3,
  show: 2,
  deleteList: 1,
  writeText: 7,
  writeItem: 2,
  deleteRow: 2,
  wait: 20,
  settle: 4,
  reset: 2,
  stall: 2,
  hold: 2,
  resume: 3,
  goOffline: 3,
  goOnline: 4,
  reload: 3,
  openTab: 2,
  killTab: 2,
  openSecondLeader: 1,
  changeRole: 2,
  removeMember: 2,
  compact: 1,
  startEpoch: 1
}

/** A command. The numbers choose the device, the tab, the item and so on. */
export interface Command {
  kind: keyof typeof weights
  numbers: [number, number, number, number]
}

interface Tab {
  page: Page
  client: Client
  list: Checklist
  close(): Promise<void>
}

/** A browser of one user: its cookie, its storage, its connection to the service, and its tabs. */
interface Device {
  user: User
  proxy: Proxy
  jar: { cookie?: string }
  storage: Storage
  hub: TabHub
  tabs: Tab[]
}

export interface WorldParts {
  app: FastifyInstance
  sql: Sql
  /** the users, each with a proxy before the service that belongs to this world alone */
  devices: { user: User; proxy: Proxy }[]
}

const limits = { tabs: 3, textLength: 200, settleMs: 30_000 }

/** Creates a checklist with three items, and one device for each user, with one tab that has the list open. */
export async function createWorld({ app, sql, devices: people }: WorldParts) {
  const listId = randomUUID()
  const projectId = await insertProject(sql, ...people.map(({ user }) => user.id))
  await sql`insert into checklists (id, project_id, title) values (${listId}, ${projectId}, 'List')`
  for (const text of ['red green blue', 'one two three', 'north south east west'])
    await sql`insert into checklist_items (checklist_id, text) values (${listId}, ${text})`

  const faults: string[] = []
  const words = createWords(faults)
  const removedItems = new Set<string>()
  const devices: Device[] = []
  for (const { user, proxy } of people) {
    const storage = memoryStorage()
    await storage.setLastUser({ id: user.id, name: user.name })
    const device = {
      user,
      proxy,
      jar: { cookie: user.cookie },
      storage: observeStorage(storage, ({ op }) => words.store(op)),
      hub: createTabHub(),
      tabs: []
    }
    devices.push(device)
    openTab(device)
  }

  return { run, finish, close, devices, faults }

  async function run({ kind, numbers }: Command) {
    const [a, b, c, d] = numbers
    const device = pick(devices, a)
    const tab = pick(device.tabs, b)
    await actions[kind]({ device, tab, view: tab.list.get(), b, c, d })
    for (const { tabs } of devices) for (const tab of tabs) checkCounts(tab)
    if (faults.length > 0) throw new Error(faults.join('\n'))
  }

  function openTab(device: Device, tabs = device.hub.tab()) {
    const page = createPage()
    const client = createClient(device.proxy.url, {
      fetch: page.fetch(device.jar),
      WebSocket: page.WebSocket,
      storage: page.storage(device.storage),
      clock: page.clock,
      tabs
    })
    const list = client.checklist(listId)
    const unsubscribe = list.subscribe(view => view && page.isAlive && checkView(tab, view))
    const tab: Tab = {
      page,
      client,
      list,
      async close() {
        unsubscribe()
        await client.close()
      }
    }
    device.tabs.push(tab)
    return tab
  }

  function killTab(device: Device, tab: Tab) {
    device.tabs.splice(device.tabs.indexOf(tab), 1)
    tab.page.kill()
    device.hub.kill(tab)
    words.kill(tab)
  }

  function checkView(tab: Tab, view: View) {
    const ids = view.items.map(({ id }) => id)
    if (new Set(ids).size < ids.length) faults.push('an id is twice in a view')
    words.checkShown(tab, textsOf(view))
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
      words.change({ tab, sent, before: textsOf(before), after: textsOf(after), isUndo })
    } catch (error) {
      const isRefusal = error instanceof ConcordError && /^(READ_ONLY|LIMIT)$/.test(error.code)
      if (!isRefusal) throw error
    }
  }

  const actions: Record<Command['kind'], (action: Action) => unknown> = {
    edit({ tab, view, c, d }) {
      const line = pick(view?.items ?? [], c)
      if (line) change(tab, () => tab.list.set(line.id, { text: edited(line.text, d) }))
    },
    add({ tab, view, c, d }) {
      const anchor = pick([undefined, null, ...(view?.items ?? []).map(({ id }) => id)], c)
      change(tab, () => tab.list.add(`${words.create()} item`, { after: anchor, done: d % 5 === 0 }))
    },
    paste({ tab, c }) {
      const texts = Array.from({ length: 2 + (c % 5) }, () => `${words.create()} pasted`)
      change(tab, () => tab.list.add(texts))
    },
    tick({ tab, view, c }) {
      const line = pick(view?.items ?? [], c)
      if (line) change(tab, () => tab.list.set(line.id, { done: !line.done }))
    },
    date({ tab, view, c, d }) {
      const line = pick(view?.items ?? [], c)
      const dueOn = d % 4 === 0 ? null : `2026-12-${String(10 + (d % 20)).padStart(2, '0')}`
      if (line) change(tab, () => tab.list.set(line.id, { dueOn }))
    },
    move({ tab, view, c, d }) {
      const line = pick(view?.items ?? [], c)
      const anchors = (view?.items ?? []).filter(({ id }) => id !== line?.id).map(({ id }) => id)
      if (line) change(tab, () => tab.list.move(line.id, pick([null, ...anchors], d) ?? null))
    },
    remove({ tab, view, c }) {
      const line = pick(view?.items ?? [], c)
      if (!line) return
      removedItems.add(line.id)
      change(tab, () => tab.list.remove(line.id))
    },
    restore({ tab, view, c }) {
      const shown = new Set(view?.items.map(({ id }) => id))
      const id = pick(
        [...removedItems].filter(id => !shown.has(id)),
        c
      )
      if (id) change(tab, () => tab.list.restore(id))
    },
    rename({ tab, view, d }) {
      if (view) change(tab, () => tab.list.rename(edited(view.title, d)))
    },
    resolve({ tab, view, c, d }) {
      const conflict = pick(view?.conflicts ?? [], c)
      if (conflict) change(tab, () => tab.list.resolve(conflict.id, choiceOf(conflict, d)))
    },
    undo: ({ tab }) => change(tab, () => tab.list.undo(), true),
    redo: ({ tab }) => change(tab, () => tab.list.redo(), true),
    show({ tab, view, c, d }) {
      const line = pick(view?.items ?? [], c)
      tab.list.show(d % 3 === 0 || !line ? null : { itemId: line.id, field: 'text', draft: 'draft' })
    },
    deleteList({ tab, view, c }) {
      if (view?.access === 'deleted') change(tab, () => tab.list.undelete())
      else if (c % 2 === 0) change(tab, () => tab.list.delete({ force: c % 4 === 0 }))
    },
    async writeText({ c, d }) {
      await sql.begin(async tx => {
        const rows = await tx<{ id: string; text: string }[]>`
          select id, text from checklist_items where checklist_id = ${listId} order by id for update`
        const row = pick(rows, c)
        if (!row) return
        const text = edited(row.text, d)
        await tx`update checklist_items set text = ${text} where id = ${row.id}`
        words.release(wordsOf([row.text]).difference(wordsOf([text])))
      })
    },
    async writeItem() {
      const text = `${words.create()} by SQL`
      await sql`insert into checklist_items (checklist_id, text) values (${listId}, ${text})`
    },
    async deleteRow({ c }) {
      const rows = await sql<{ id: string }[]>`
        select id from checklist_items where checklist_id = ${listId} order by id`
      const row = pick(rows, c)
      if (!row) return
      const [deleted] = await sql<{ text: string }[]>`
        delete from checklist_items where id = ${row.id} returning text`
      if (deleted) words.release(wordsOf([deleted.text]))
      removedItems.add(row.id)
    },
    async wait({ c }) {
      for (let turn = 0; turn <= c % 20; turn++) await new Promise(setImmediate)
    },
    async settle({ device }) {
      device.proxy.resume()
      await until(() => device.tabs.every(isSettled)).catch(() => {})
    },
    reset: ({ device }) => device.proxy.reset(),
    stall: ({ device }) => device.proxy.stall(),
    hold: ({ device }) => device.proxy.hold(),
    resume: ({ device }) => device.proxy.resume(),
    goOffline: ({ device }) => device.proxy.close(),
    goOnline: ({ device }) => device.proxy.reopen(),
    reload({ device, tab }) {
      killTab(device, tab)
      openTab(device)
    },
    openTab({ device }) {
      if (device.tabs.length < limits.tabs) openTab(device)
    },
    killTab({ device, tab }) {
      if (device.tabs.length > 1) killTab(device, tab)
    },
    openSecondLeader({ device }) {
      if (device.tabs.length < limits.tabs) openTab(device, false)
    },
    async changeRole({ device, c }) {
      const role = pick(['viewer', 'editor', 'owner'], c) as string
      await sql`
        update project_members set role = ${role}
        where project_id = ${projectId} and user_id = ${device.user.id}`
    },
    async removeMember({ device }) {
      const { count } = await sql`
        delete from project_members where project_id = ${projectId} and user_id = ${device.user.id}`
      if (count === 0) await insertMember(sql, projectId, device.user.id)
    },
    async compact() {
      await words.find(sql, listId)
      await sql`
        delete from events
        where checklist_id = ${listId}
        and rev < (select rev from checklist_revs where checklist_id = ${listId}) - 5`
    },
    startEpoch: () => sql`update log_state set generation = generation + 1`
  }

  function edited(text: string, number: number): string {
    const old = text.length > limits.textLength ? ['shortened'] : text.split(' ')
    const at = number % (old.length + 1)
    const isReplaced = number % 3 === 0
    return old.toSpliced(at, isReplaced ? 1 : 0, words.create()).join(' ')
  }

  /** Ends all faults, waits until all tabs show the rows of the database, and checks that nothing was lost. */
  async function finish() {
    for (const { user, proxy } of devices) {
      await proxy.reopen()
      proxy.resume()
      await sql`
        insert into project_members (project_id, user_id, role)
        values (${projectId}, ${user.id}, 'editor')
        on conflict (project_id, user_id) do update set role = 'editor'`
    }
    await sql`update checklists set deleted_at = null where id = ${listId} and deleted_at is not null`
    const tabs = devices.flatMap(({ tabs }) => tabs)
    try {
      await until(async () => tabs.every(isSettled) && (await areEqual(tabs)), limits.settleMs)
    } catch (cause) {
      throw new Error(`the views do not converge: ${await describe(tabs)}`, { cause })
    }
    await words.find(sql, listId)
    words.checkNothingLost()
    const twice = await sql`
      select op_id, kind, item_id from events
      where checklist_id = ${listId} and op_id is not null
      group by op_id, kind, item_id
      having count(*) > 1`
    if (twice.length > 0) faults.push(`decided twice: ${JSON.stringify(twice)}`)
    if (faults.length > 0) throw new Error(faults.join('\n'))
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
      view: shownRows(list.get())
    }))
    return JSON.stringify({ rows: await readRows(), states }, null, 1)
  }

  async function close() {
    await Promise.all(devices.flatMap(({ tabs }) => tabs.map(tab => tab.close())))
  }
}

interface Action {
  device: Device
  tab: Tab
  view: View | undefined
  b: number
  c: number
  d: number
}

function isSettled({ client, list }: Tab): boolean {
  return client.connection.get().state === 'live' && list.unsent().length === 0
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
  return [title, ...items.map(({ text }) => text), ...kept.filter(value => typeof value === 'string')]
}

function choiceOf({ field }: Conflict, number: number): Choice {
  if (field === 'alive') return pick(['keep', 'delete'] as const, number) as Choice
  const custom = { custom: field === 'dueOn' ? '2026-12-24' : 'decided anew' }
  const choices: Choice[] = field === 'text' ? ['ours', 'theirs', 'both', custom] : ['ours', 'theirs', custom]
  return pick(choices, number) as Choice
}

function pick<T>(values: readonly T[], number: number): T {
  return values[number % values.length] as T
}
