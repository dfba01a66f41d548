import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { TransactionSql } from 'postgres'
import type { Attack } from '../attacks.ts'
import { type AttackItem, type Tools, withId } from '../tools.ts'

// Pushes and new projects per second.
const rate = { writes: 20, projects: 8 }
const lock = { heldMs: 3000, freeMs: 500 }

export const sqlAttacks: Record<string, Attack> = {
  'a row held': {
    description:
      'psql locks one item for 3 s at a time, which 2 accounts write 20 times a second each',
    prepare: tools => lockRows(tools, 1)
  },

  'five rows held': {
    description: 'psql locks one item of each of 5 lists for 3 s at a time, which 2 accounts write',
    prepare: tools => lockRows(tools, 5)
  },

  'commit lock held': {
    description:
      'psql numbers its events early and commits 3 s later, while an account writes (only reads have a target)',
    delays: ['push', 'delivery'],
    async prepare(tools) {
      const ann = await tools.registerUser()
      const { id, items } = await tools.createList(ann, [], item())
      const socket = tools.createSocket(ann.headers)
      const { headers } = ann
      return () =>
        Promise.all([
          holdLocks(tools, async tx => {
            await tx`set constraints all immediate`
            await tx`update checklist_items set done = not done where id = ${items[0]?.itemId ?? ''}`
          }),
          tools.atRate(rate.writes, () => {
            const op = { kind: 'item.add', itemId: randomUUID(), text: 'Milk', after: null }
            socket.send({ type: 'push', checklistId: id, ops: [withId(op)] })
          }),
          tools.atRate(rate.projects, () =>
            tools.request('POST', '/projects', { headers, body: { name: 'Fair' } })
          )
        ])
    }
  }
}

/** Locks rows of lists that two accounts may write, so that the writes of both accounts wait. */
async function lockRows(tools: Tools, count: number) {
  const [ann, bob] = [await tools.registerUser(), await tools.registerUser()]
  const lists = await Promise.all(
    Array.from({ length: count }, () => tools.createList(ann, [bob], item()))
  )
  const sockets = [ann, bob].map(({ headers }) => tools.createSocket(headers))
  const held = lists.map(({ items }) => items[0]?.itemId ?? '')
  return () =>
    Promise.all([
      holdLocks(tools, tx => tx`select from checklist_items where id in ${tx(held)} for update`),
      tools.atRate(rate.writes * 2, n => {
        const list = lists[n % count] as (typeof lists)[0]
        const done = { from: n % 4 < 2, to: n % 4 >= 2 }
        const op = { kind: 'item.set', itemId: list.items[0]?.itemId, set: { done } }
        sockets[n % 2]?.send({ type: 'push', checklistId: list.id, ops: [withId(op)] })
      })
    ])
}

/** Opens a transaction, takes locks and commits after 3 s; repeats this until the process exits. */
async function holdLocks(tools: Tools, takeLocks: (tx: TransactionSql) => Promise<unknown>) {
  const sql = tools.sql()
  for (;;) {
    await sql.begin(async tx => {
      await takeLocks(tx)
      await delay(lock.heldMs)
    })
    await delay(lock.freeMs)
  }
}

function item(): AttackItem[] {
  return [{ itemId: randomUUID(), text: 'Milk' }]
}
