import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import postgres from 'postgres'
import { build } from '../app.ts'
import { exchangePresence } from '../sql/presence.ts'
import { startDatabase } from './support/database.ts'
import { round, sum } from './support/statistics.ts'

/*
 * Measures how many changes four writers commit while 1,000 users type. Compares no typing, a NOTIFY for every
 * keystroke, and two nodes that exchange presence once a second, as the service does. In COMMIT, NOTIFY takes a lock of
 * the whole cluster, also in every transaction that writes to the log. The three cases are measured in turn, so that
 * other load on the machine affects all of them alike.
 *
 * node bench/presence.ts [seconds of each turn = 2]
 */
const seconds = Number(process.argv[2] ?? 2)
const rounds = 4
const typists = 1000
const keystrokesEach = 2

const database = await startDatabase()
const app = build({
  env: { DATABASE_URL: database.url, JWT_SECRET: randomUUID(), LOG_LEVEL: 'warn' }
})
const typing = postgres(database.url, { max: 4, onnotice: () => {} })

try {
  await app.ready()
  const { sql } = app
  const [list] = await sql<[{ id: string }]>`
    with project as (insert into projects (name) values ('Bench') returning id)
    insert into checklists (project_id, title) select id, 'List' from project returning id`
  const items = await sql<{ id: string }[]>`
    insert into checklist_items (checklist_id, text)
    select ${list.id}, 'Item ' || n from generate_series(1, 100) as n
    returning id`
  const methods = {
    'no typing': async () => {},
    'a NOTIFY for each keystroke': sendNotifications,
    'an exchange by each node every second': (isOver: () => boolean) => exchange(list.id, isOver)
  }
  const counts = Object.keys(methods).map(() => 0)
  for (let round = 0; round < rounds; round++) {
    for (const [n, type] of Object.values(methods).entries()) {
      counts[n] = (counts[n] ?? 0) + (await measureCommits(items, type)) / rounds
    }
  }
  console.log(
    `commits a second of 4 writers, ${typists} users with ${keystrokesEach} keystrokes a second each`
  )
  console.table(
    Object.fromEntries(
      Object.keys(methods).map((method, n) => [
        method,
        {
          commits: Math.round(counts[n] ?? 0),
          ratio: round((counts[n] ?? 0) / (counts[0] ?? 1), 2)
        }
      ])
    )
  )
} finally {
  await typing.end()
  await app.close()
  await database.stop()
}

/** Returns the commits a second of four writers while `type` runs. */
async function measureCommits(
  items: { id: string }[],
  type: (isOver: () => boolean) => Promise<void>
): Promise<number> {
  const until = performance.now() + seconds * 1000
  const isOver = () => performance.now() >= until
  const typed = type(isOver)
  const counts = await Promise.all(
    Array.from({ length: 4 }, async (_, writer) => {
      let count = 0
      for (; !isOver(); count++) {
        const { id } = items[(count * 4 + writer) % items.length] as { id: string }
        await app.sql`update checklist_items set done = not done where id = ${id}`
      }
      return count
    })
  )
  await typed
  return sum(counts) / seconds
}

/** Sends a notification for each keystroke, or as many as the database accepts. */
async function sendNotifications(isOver: () => boolean) {
  const draft = 'Order 12 chairs for the summer fair '.repeat(5)
  const gapMs = (4 * 1000) / (typists * keystrokesEach)
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      for (let next = performance.now(); !isOver(); next += gapMs) {
        const wait = next - performance.now()
        if (wait > 1) await delay(wait)
        await typing`select pg_notify('presence', ${draft})`
      }
    })
  )
}

/** Exchanges presence as two nodes with 500 users each do. */
async function exchange(checklistId: string, isOver: () => boolean) {
  const nodes = [randomUUID(), randomUUID()]
  const users = Array.from({ length: typists }, (_, n) => ({
    connectionId: randomUUID(),
    userId: randomUUID(),
    name: `User ${n}`
  }))
  const joinedAt = Date.now()
  while (!isOver()) {
    for (const [n, node] of nodes.entries()) {
      const local = users.filter((_, user) => user % 2 === n)
      const state = { draft: `${performance.now()}` }
      const peers = JSON.stringify(local.slice(0, 60).map(peer => [joinedAt, { ...peer, state }]))
      const changed = [{ checklistId, count: local.length, peers }]
      await exchangePresence(app.sql, node, changed, [], [checklistId])
    }
    await delay(1000)
  }
}
