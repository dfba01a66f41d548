import { randomUUID } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import postgres from 'postgres'
import { build } from '../app.ts'
import { startPostgres } from '../lib/embedded-postgres/server.ts'
import { exchangePresence } from '../sql/presence.ts'

/*
 * Measures what the keystrokes of a thousand people cost four writers that commit changes of items: without
 * keystrokes, with a NOTIFY for every keystroke, and with two nodes that exchange presence once a second, as
 * the service does. NOTIFY takes a lock of the whole cluster in COMMIT, and so does the log.
 *
 * The three take turns, so that other load of the machine slows all of them alike.
 *
 * node bench/presence.ts [seconds a turn = 2]
 */
const seconds = Number(process.argv[2] ?? 2)
const rounds = 4
const typists = 1000
const keystrokesEach = 2

const folder = await mkdtemp(join(tmpdir(), 'concord-bench-'))
await chmod(folder, 0o755) // the user that PostgreSQL runs as has to get through
const database = await startPostgres(folder)
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
  const ways = {
    'nobody types': async () => {},
    'a NOTIFY a keystroke': byNotify,
    'an exchange a second and node': (isOver: () => boolean) => byExchange(list.id, isOver)
  }
  const counts = Object.keys(ways).map(() => 0)
  for (let round = 0; round < rounds; round++) {
    for (const [n, type] of Object.values(ways).entries()) {
      counts[n] = (counts[n] ?? 0) + (await commits(items, type)) / rounds
    }
  }
  console.log(
    `commits a second of 4 writers, ${typists} people with ${keystrokesEach} keystrokes a second each`
  )
  console.table(
    Object.fromEntries(
      Object.keys(ways).map((way, n) => [
        way,
        {
          commits: Math.round(counts[n] ?? 0),
          ratio: Number(((counts[n] ?? 0) / (counts[0] ?? 1)).toFixed(2))
        }
      ])
    )
  )
} finally {
  await typing.end()
  await app.close()
  await database.stop()
  await rm(folder, { recursive: true })
}

async function commits(
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
  return counts.reduce((sum, count) => sum + count, 0) / seconds
}

/** As many notifications as people type, or as many as go through. */
async function byNotify(isOver: () => boolean) {
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

async function byExchange(checklistId: string, isOver: () => boolean) {
  const nodes = [randomUUID(), randomUUID()]
  const people = Array.from({ length: typists }, (_, n) => ({
    connectionId: randomUUID(),
    userId: randomUUID(),
    name: `Person ${n}`
  }))
  const joinedAt = Date.now()
  while (!isOver()) {
    for (const [n, node] of nodes.entries()) {
      const here = people.filter((_, person) => person % 2 === n)
      const state = { draft: `${performance.now()}` }
      const peers = JSON.stringify(here.slice(0, 60).map(peer => [joinedAt, { ...peer, state }]))
      const changed = [{ checklistId, count: here.length, peers }]
      await exchangePresence(app.sql, node, changed, [], [checklistId])
    }
    await delay(1000)
  }
}
