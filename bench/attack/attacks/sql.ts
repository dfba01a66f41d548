import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TransactionSql } from 'postgres'
import type { Attack } from '../attacks.ts'
import { type Item, type Tools, withId } from '../tools.ts'

const pace = { heldMs: 3000, freeMs: 500, writes: 20, projects: 8 }

export const sqlAttacks: Record<string, Attack> = {
  'a row held': {
    what: 'psql locks one item for 3 s at a time, which 2 accounts write 20 times a second each',
    prepare: tools => heldRows(tools, 1)
  },

  'five rows held': {
    what: 'psql locks one item of each of 5 lists for 3 s at a time, which 2 accounts write',
    prepare: tools => heldRows(tools, 5)
  },

  'commit lock held': {
    what: 'psql numbers its events early and commits 3 s later, while an account writes (only reads are held to the aim)',
    delays: ['push', 'delivery'],
    async prepare(tools) {
      const ann = await tools.person()
      const { id, items } = await tools.createList(ann, [], item())
      const socket = tools.createSocket(ann.headers)
      const { headers } = ann
      return () =>
        Promise.all([
          hold(tools, async tx => {
            await tx`set constraints all immediate`
            await tx`update checklist_items set done = not done where id = ${items[0]?.itemId ?? ''}`
          }),
          tools.pace(pace.writes, () => {
            const op = { kind: 'item.add', itemId: randomUUID(), text: 'Milk', after: null }
            socket.say({ type: 'push', checklistId: id, ops: [withId(op)] })
          }),
          tools.pace(pace.projects, () =>
            tools.request('POST', '/projects', { headers, body: { name: 'Fair' } })
          )
        ])
    }
  }
}

/** Lets the writes of two accounts wait for rows of lists that both may write. */
async function heldRows(tools: Tools, count: number) {
  const [ann, bob] = [await tools.person(), await tools.person()]
  const lists = await Promise.all(
    Array.from({ length: count }, () => tools.createList(ann, [bob], item()))
  )
  const sockets = [ann, bob].map(({ headers }) => tools.createSocket(headers))
  const held = lists.map(({ items }) => items[0]?.itemId ?? '')
  return () =>
    Promise.all([
      hold(tools, tx => tx`select from checklist_items where id in ${tx(held)} for update`),
      tools.pace(pace.writes * 2, n => {
        const list = lists[n % count] as (typeof lists)[0]
        const done = { from: n % 4 < 2, to: n % 4 >= 2 }
        const op = { kind: 'item.set', itemId: list.items[0]?.itemId, set: { done } }
        sockets[n % 2]?.say({ type: 'push', checklistId: list.id, ops: [withId(op)] })
      })
    ])
}

/** Leaves a transaction open for 3 s, again and again. */
async function hold(tools: Tools, lock: (tx: TransactionSql) => Promise<unknown>) {
  const sql = tools.sql()
  for (;;) {
    await sql.begin(async tx => {
      await lock(tx)
      await sleep(pace.heldMs)
    })
    await sleep(pace.freeMs)
  }
}

function item(): Item[] {
  return [{ itemId: randomUUID(), text: 'Milk' }]
}
