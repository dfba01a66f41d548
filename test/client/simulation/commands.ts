import type { Choice, Conflict, Sent, View } from '../../../client/types.ts'
import type { Sql } from '../../../sql/executor.ts'
import { insertMember } from '../../support/projects.ts'
import { until } from '../../support/until.ts'
import type { createWords } from './words.ts'
import { wordsOf } from './words.ts'
import type { Device, Tab } from './world.ts'

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
  cut: 2,
  stall: 2,
  freezeTab: 2,
  thawTab: 2,
  hideTab: 1,
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

export interface CommandParts {
  sql: Sql
  projectId: string
  listId: string
  words: ReturnType<typeof createWords>
  /** ids of the items that a client or SQL has deleted */
  removedItems: Set<string>
  openTab: (device: Device, isLeader?: boolean) => void
  killTab: (device: Device, tab: Tab) => void
  /** Makes a change in a tab, and records the words that it adds to the view and removes from it. */
  change: (tab: Tab, make: () => Sent | null, isUndo?: boolean) => void
}

interface Action {
  device: Device
  tab: Tab
  view: View | undefined
  c: number
  d: number
}

const limits = { tabs: 3, textLength: 200, settleMs: 300 }

/** Returns the function of each command. `edit`, for example, changes the text of one item in one tab. */
export function createCommands(
  parts: CommandParts
): Record<Command['kind'], (action: Action) => unknown> {
  const { sql, projectId, listId, words, removedItems, openTab, killTab, change } = parts

  return {
    edit({ tab, view, c, d }) {
      const line = pick(view?.items ?? [], c)
      if (line) change(tab, () => tab.list.set(line.id, { text: edited(line.text, d) }))
    },
    add({ tab, view, c, d }) {
      const anchor = pick([undefined, null, ...(view?.items ?? []).map(({ id }) => id)], c)
      change(tab, () =>
        tab.list.add(`${words.create()} item`, { after: anchor, done: d % 5 === 0 })
      )
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
      words.remove(tab, line.text)
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
      tab.list.show(
        d % 3 === 0 || !line ? null : { itemId: line.id, field: 'text', draft: 'draft' }
      )
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
        const text = edited(row.text, d, true)
        await tx`update checklist_items set text = ${text} where id = ${row.id}`
        words.release(wordsOf([row.text]).difference(wordsOf([text])))
      })
    },
    async writeItem() {
      const text = `${words.create(true)} by SQL`
      await sql`insert into checklist_items (checklist_id, text) values (${listId}, ${text})`
    },
    async deleteRow({ c }) {
      const rows = await sql<{ id: string }[]>`
        select id from checklist_items where checklist_id = ${listId} order by id`
      const row = pick(rows, c)
      if (!row) return
      await sql.begin(async tx => {
        const deleted = await tx<{ text: string }[]>`
          delete from checklist_items where id = ${row.id} returning text`
        // The conflicts of an item are closed with it, in the same transaction.
        const kept = await tx<{ text: string }[]>`
          select concat_ws(' ', ours, theirs) as text from conflicts where item_id = ${row.id}`
        words.release(wordsOf([...deleted, ...kept].map(({ text }) => text)))
      })
      removedItems.add(row.id)
    },
    async wait({ c }) {
      for (let turn = 0; turn <= c % 20; turn++) await new Promise(setImmediate)
    },
    async settle({ device }) {
      device.proxy.resume()
      await until(() => device.tabs.every(isSettled), limits.settleMs).catch(() => {})
    },
    cut: ({ device }) => device.proxy.cut(),
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
      if (device.tabs.length < limits.tabs) openTab(device, true)
    },
    freezeTab: ({ tab }) => tab.page.freeze(),
    thawTab: ({ tab }) => tab.page.thaw(),
    hideTab({ tab }) {
      tab.page.hide()
      tab.page.show()
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

  function edited(text: string, number: number, isFromSql = false): string {
    const old = text.length > limits.textLength ? ['shortened'] : text.split(' ')
    const at = number % (old.length + 1)
    const isReplaced = number % 3 === 0
    return old.toSpliced(at, isReplaced ? 1 : 0, words.create(isFromSql)).join(' ')
  }
}

function choiceOf({ field }: Conflict, number: number): Choice {
  if (field === 'alive') return pick(['keep', 'delete'] as const, number) as Choice
  const custom = { custom: field === 'dueOn' ? '2026-12-24' : 'decided anew' }
  const choices: Choice[] =
    field === 'text' ? ['ours', 'theirs', 'both', custom] : ['ours', 'theirs', custom]
  return pick(choices, number) as Choice
}

export function isSettled({ client, list }: Tab): boolean {
  return client.connection.get().state === 'live' && list.unsent().length === 0
}

export function pick<T>(values: readonly T[], number: number): T {
  return values[number % values.length] as T
}
