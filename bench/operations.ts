import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from '../app.ts'
import { connectLive } from './support/client.ts'
import { startDatabase } from './support/database.ts'
import { round, sum } from './support/statistics.ts'

/*
 * Measures how many operations a second the service acknowledges over WebSocket, on one list and on 1,000 lists. Every
 * client sends its next operation after the acknowledgement of the last one. Compares this number with pgbench, which
 * updates the same rows of the same database, including triggers and log.
 *
 * node bench/operations.ts [seconds of each measurement = 3]
 */
const seconds = Number(process.argv[2] ?? 3)
const lists = 1000
const clientCounts = [1, 8, 32]

const database = await startDatabase()
const env = {
  DATABASE_URL: database.url,
  JWT_SECRET: randomUUID(),
  RATE_LIMIT: 'off',
  LOG_LEVEL: 'warn'
}
const app = build({ env: { ...env, PORT: '0' } })
let service: ChildProcess | undefined

try {
  await app.ready()
  const headers = await prepare()
  const url = await startServer()
  const rows: Record<string, object> = {}
  for (const isOneList of [true, false]) {
    for (const clients of clientCounts) {
      const place = isOneList ? 'one list' : `${lists} lists`
      const bare = await measureSql(clients, isOneList)
      const concord = await measureSockets(url, headers, clients, isOneList)
      rows[`${place}, clients: ${clients}`] = {
        'Concord /s': Math.round(concord),
        'SQL /s': Math.round(bare),
        ratio: round(concord / bare, 2)
      }
    }
  }
  console.log(
    `item.set acknowledged over WebSocket, ${seconds} s each; SQL: ${findPgbench() ?? 'postgres.js'}`
  )
  console.table(rows)
} finally {
  service?.kill()
  await app.close()
  await database.stop()
}

/** Creates a user with 1,000 lists: 100 items in the first list, 10 in each other. */
async function prepare() {
  const account = { email: 'bench@example.com', password: 'correct horse battery staple' }
  await app.inject({ method: 'POST', url: '/auth/signup', payload: { ...account, name: 'Bench' } })
  const session = await app.inject({ method: 'POST', url: '/auth/signin', payload: account })
  const { sql } = app
  await sql`
    with project as (insert into projects (name) values ('Bench') returning id)
    insert into project_members (project_id, user_id, role)
    select project.id, users.id, 'owner' from project, users`
  await sql`insert into checklists (project_id, title) select id, 'List ' || n from projects, generate_series(1, ${lists}::int) n`
  await sql`
    insert into checklist_items (checklist_id, text)
    select id, 'Item ' || n
    from checklists, generate_series(1, 100) n
    where n <= 10 or title = 'List 1'`
  // numbers the rows, because pgbench chooses a row by a random number
  await sql`
    create table numbered as
    select row_number() over (order by title <> 'List 1', checklist_id, position)::int - 1 as n, item.id, checklist_id
    from checklist_items as item
    join checklists on checklists.id = checklist_id`
  await sql`create unique index on numbered (n)`
  await sql`vacuum analyze`
  return { authorization: `Bearer ${session.json().accessToken}` }
}

/** Starts the service on the same database in a separate process, as in production. */
async function startServer(): Promise<string> {
  service = spawn(process.execPath, [join(import.meta.dirname, '..', 'server.ts')], {
    env: { ...process.env, ...env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const stdout = service.stdout as NonNullable<ChildProcess['stdout']>
  let text = ''
  for (;;) {
    const [chunk] = await once(stdout, 'data')
    text += chunk
    const [, url] = /^Concord +(http:\S+)$/m.exec(text) ?? []
    if (url) return url
  }
}

/**
 * Returns the acknowledged operations a second. Every client toggles items of its own, so that each operation changes
 * a row.
 */
async function measureSockets(
  url: string,
  headers: Record<string, string>,
  clients: number,
  isOneList: boolean
): Promise<number> {
  const items = await app.sql<{ id: string; list: string; done: boolean }[]>`
    select item.id, item.checklist_id as list, done
    from numbered
    join checklist_items as item using (id)
    where n < ${isOneList ? 100 : lists * 10}
    order by n`
  const until = performance.now() + seconds * 1000
  const counts = await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      const ownItems = items.filter((_, n) => n % clients === client)
      const socket = connectLive(url, headers)
      // Without this, a socket that the service closes would leave the bench waiting for ever.
      const closed = new AbortController()
      socket.once('close', () => closed.abort())
      await once(socket, 'message', closed)
      let count = 0
      for (; performance.now() < until; count++) {
        const item = ownItems[(count * 7) % ownItems.length] as (typeof ownItems)[0]
        const op = {
          opId: randomUUID(),
          kind: 'item.set',
          itemId: item.id,
          set: { done: { from: item.done, to: !item.done } }
        }
        item.done = !item.done
        socket.send(JSON.stringify({ type: 'push', checklistId: item.list, ops: [op] }))
        const [message] = await once(socket, 'message', closed)
        const { results } = JSON.parse(message)
        if (results?.[0].outcome !== 'applied') throw new Error(`unexpected message: ${message}`)
      }
      socket.terminate()
      return count
    })
  )
  return sum(counts) / seconds
}

/** Returns the updates per second that pgbench measured. */
async function measureSql(clients: number, isOneList: boolean): Promise<number> {
  const last = (isOneList ? 100 : lists * 10) - 1
  const program = findPgbench()
  if (!program) return measureDriver(clients, last)
  const file = join(database.folder, 'script.sql')
  await writeFile(
    file,
    `\\set n random(0, ${last})\nupdate checklist_items set done = not done where id = (select id from numbered where n = :n);\n`
  )
  const options = [
    '-n',
    '-M',
    'prepared',
    '-c',
    String(clients),
    '-j',
    '1',
    '-T',
    String(seconds),
    '-f',
    file
  ]
  const child = spawn(program, [...options, database.url], { stdio: ['ignore', 'pipe', 'ignore'] })
  let text = ''
  child.stdout.on('data', chunk => {
    text += chunk
  })
  await once(child, 'close')
  return Number(/tps = ([\d.]+)/.exec(text)?.[1])
}

/** Returns the updates per second with postgres.js, for machines without pgbench. */
async function measureDriver(clients: number, last: number): Promise<number> {
  const until = performance.now() + seconds * 1000
  const counts = await Promise.all(
    Array.from({ length: clients }, async () => {
      let count = 0
      for (; performance.now() < until; count++) {
        const n = Math.floor(Math.random() * (last + 1))
        await app.sql`
          update checklist_items set done = not done
          where id = (select id from numbered where n = ${n})`
      }
      return count
    })
  )
  return sum(counts) / seconds
}

function findPgbench(): string | undefined {
  const found = spawnSync(
    'sh',
    ['-c', 'command -v pgbench || ls /usr/lib/postgresql/*/bin/pgbench'],
    { encoding: 'utf8' }
  )
  return found.stdout.split('\n')[0] || undefined
}
