import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import WebSocket from 'ws'
import { build } from '../app.ts'
import { startPostgres } from '../lib/embedded-postgres/server.ts'

/*
 * How many operations a second do real sockets get through the service, beside the same row changes made by
 * hand with pgbench on the same database, triggers, log and all, in the same run? Every client sends its next
 * operation when the last is acknowledged, on one hot list or each on lists of its own.
 *
 * node bench/operations.ts [seconds a measurement = 3]
 */
const seconds = Number(process.argv[2] ?? 3)
const lists = 1000
const crowds = [1, 8, 32]

const folder = await mkdtemp(join(tmpdir(), 'concord-bench-'))
await chmod(folder, 0o755) // the user that PostgreSQL runs as has to get through
const database = await startPostgres(folder)
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
  const url = await serve()
  const rows: Record<string, object> = {}
  for (const isHot of [true, false]) {
    for (const clients of crowds) {
      const place = isHot ? 'one hot list' : `${lists} lists`
      const bare = await byHand(clients, isHot)
      const ours = await overSockets(url, headers, clients, isHot)
      rows[`${place}, ${clients} clients`] = {
        'Concord /s': Math.round(ours),
        'by hand /s': Math.round(bare),
        ratio: Number((ours / bare).toFixed(2))
      }
    }
  }
  console.log(
    `item.set acknowledged over WebSocket, ${seconds} s each; by hand: ${pgbench() ?? 'postgres.js'}`
  )
  console.table(rows)
} finally {
  service?.kill()
  await app.close()
  await database.stop()
  await rm(folder, { recursive: true })
}

/** One person with a thousand lists of ten items, and a hundred in the first, the hot one. */
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
  // pgbench draws numbers, not ids
  await sql`
    create table numbered as
    select row_number() over (order by title <> 'List 1', checklist_id, position)::int - 1 as n, item.id, checklist_id
    from checklist_items as item
    join checklists on checklists.id = checklist_id`
  await sql`create unique index on numbered (n)`
  await sql`vacuum analyze`
  return { authorization: `Bearer ${session.json().accessToken}` }
}

/** The service in a process of its own, as it is in production. */
async function serve(): Promise<string> {
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

/** Every client ticks and unticks items of its own, so that each operation changes something. */
async function overSockets(
  url: string,
  headers: Record<string, string>,
  clients: number,
  isHot: boolean
): Promise<number> {
  const items = await app.sql<{ id: string; list: string; done: boolean }[]>`
    select item.id, item.checklist_id as list, done
    from numbered
    join checklist_items as item using (id)
    where n < ${isHot ? 100 : lists * 10}
    order by n`
  const until = performance.now() + seconds * 1000
  const counts = await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      const mine = items.filter((_, n) => n % clients === client)
      const socket = new WebSocket(`${url.replace('http', 'ws')}/live`, { headers })
      await once(socket, 'message')
      let count = 0
      for (; performance.now() < until; count++) {
        const item = mine[(count * 7) % mine.length] as (typeof mine)[0]
        const op = {
          opId: randomUUID(),
          kind: 'item.set',
          itemId: item.id,
          set: { done: { from: item.done, to: !item.done } }
        }
        item.done = !item.done
        socket.send(JSON.stringify({ type: 'push', checklistId: item.list, ops: [op] }))
        const [answer] = await once(socket, 'message')
        const { results } = JSON.parse(answer)
        if (results?.[0].outcome !== 'applied') throw new Error(`unexpected: ${answer}`)
      }
      socket.terminate()
      return count
    })
  )
  return counts.reduce((sum, count) => sum + count, 0) / seconds
}

async function byHand(clients: number, isHot: boolean): Promise<number> {
  const last = (isHot ? 100 : lists * 10) - 1
  const program = pgbench()
  if (!program) return byDriver(clients, last)
  const file = join(folder, 'script.sql')
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

/** The same without pgbench: as many statements at once as there are clients. */
async function byDriver(clients: number, last: number): Promise<number> {
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
  return counts.reduce((sum, count) => sum + count, 0) / seconds
}

function pgbench(): string | undefined {
  const found = spawnSync(
    'sh',
    ['-c', 'command -v pgbench || ls /usr/lib/postgresql/*/bin/pgbench'],
    { encoding: 'utf8' }
  )
  return found.stdout.split('\n')[0] || undefined
}
