import { spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import postgres, { type Sql } from 'postgres'
import { connectLive, type Headers, registerUser } from '../support/client.ts'
import { compare, measure } from '../support/compare.ts'
import { onEnd } from '../support/ends.ts'
import { createFolder } from '../support/folder.ts'
import { PeerMissing } from '../support/peers.ts'
import { startService } from '../support/service.ts'
import { percentile } from '../support/statistics.ts'

/*
 * Compares the operations that clients send over /live, each after the `ack` of the one before, with pgbench, which
 * updates the same rows with the same triggers. The first pgbench uses the database of the service, which reads the log
 * meanwhile. The second one uses a copy of this database that no service reads.
 */
const lists = 1000

/** Clients, and the number of items that they change: those of the first list, or of all. */
interface Load {
  clients: number
  items: number
}

const places = { 'one list': 100, [`${lists} lists`]: 100 + (lists - 1) * 10 }
const loads = Object.entries(places).flatMap(([place, items]) =>
  [1, 8, 32, 64].map(clients => [`clients: ${clients}, ${place}`, { clients, items }])
)

await compare<Load>({
  title: 'Operations',
  seconds: 2,
  loads: Object.fromEntries(loads),
  async start(env) {
    const first = await startService(env)
    const user = await registerUser(first.url)
    await insertLists(env.DATABASE_URL, user.id)
    await first.stop()
    const copy = await copyDatabase(env.DATABASE_URL)
    const { url, pid } = await startService(env)
    const sql = postgres(env.DATABASE_URL)
    onEnd(() => sql.end())
    const folder = await createFolder()
    onEnd(() => rm(folder, { recursive: true }))
    return [
      {
        name: 'service',
        round: ({ clients, items }, seconds) =>
          measure('operation', pid, async () => {
            const all = await selectItems(sql, items)
            const end = performance.now() + seconds * 1000
            const times = await Promise.all(
              Array.from({ length: clients }, (_, client) =>
                operate(
                  url,
                  user.headers,
                  all.filter((_, n) => n % clients === client),
                  end
                )
              )
            )
            return summary(times.flat())
          })
      },
      {
        name: 'pgbench',
        round: (load, seconds) =>
          measure('operation', undefined, () => runPgbench(folder, env.DATABASE_URL, load, seconds))
      },
      {
        name: 'pgbench without the service',
        round: (load, seconds) =>
          measure('operation', undefined, () => runPgbench(folder, copy, load, seconds))
      }
    ]
  }
})

interface Item {
  id: string
  list: string
  done: boolean
}

/** Inserts 100 items in the first list and 10 in each other, and a table that numbers them for pgbench. */
async function insertLists(url: string, userId: string) {
  const sql = postgres(url, { onnotice: () => {} })
  await sql`
    with project as (insert into projects (name) values ('Bench') returning id)
    insert into project_members (project_id, user_id, role)
    select project.id, ${userId}, 'owner' from project`
  await sql`
    insert into checklists (project_id, title)
    select id, 'List ' || n
    from projects, generate_series(1, ${lists}::int) as n`
  await sql`
    insert into checklist_items (checklist_id, text)
    select id, 'Item ' || n
    from checklists, generate_series(1, 100) as n
    where n <= 10 or title = 'List 1'`
  await sql`
    create table numbered as
    select
      row_number() over (order by title <> 'List 1', checklist_id, position)::int - 1 as n,
      item.id,
      checklist_id
    from checklist_items as item
    join checklists on checklists.id = checklist_id`
  await sql`create unique index on numbered (n)`
  await sql`vacuum analyze`
  await sql.end()
}

/** Copies the database. Returns the URL of the copy. */
async function copyDatabase(url: string): Promise<string> {
  const [from, admin, copy] = [new URL(url), new URL(url), new URL(url)]
  admin.pathname = '/postgres'
  copy.pathname = '/copy'
  const sql = postgres(admin.href)
  await sql`create database copy template ${sql(from.pathname.slice(1))}`
  await sql.end()
  return copy.href
}

async function selectItems(sql: Sql, count: number): Promise<Item[]> {
  return sql<Item[]>`
    select item.id, item.checklist_id as list, done
    from numbered
    join checklist_items as item using (id)
    where n < ${count}
    order by n`
}

/** Toggles `items` in turn until `end`. Returns how many milliseconds passed until each `ack`. */
async function operate(url: string, headers: Headers, items: Item[], end: number) {
  const socket = connectLive(url, headers)
  const closed = new AbortController()
  socket.once('close', () => closed.abort())
  await once(socket, 'message', closed)
  const times: number[] = []
  for (let start = performance.now(); start < end; start = performance.now()) {
    const item = items[times.length % items.length] as Item
    const set = { done: { from: item.done, to: !item.done } }
    item.done = !item.done
    const op = { opId: randomUUID(), kind: 'item.set', itemId: item.id, set }
    socket.send(JSON.stringify({ type: 'push', checklistId: item.list, ops: [op] }))
    const [message] = await once(socket, 'message', closed)
    if (!message.includes('"outcome":"applied"')) throw new Error(`unexpected: ${message}`)
    times.push(performance.now() - start)
  }
  socket.terminate()
  return times
}

/** Returns the updates of pgbench and their latency. */
async function runPgbench(folder: string, url: string, { clients, items }: Load, seconds: number) {
  const script = join(folder, 'script.sql')
  await writeFile(
    script,
    `\\set n random(0, ${items - 1})\nupdate checklist_items set done = not done where id = (select id from numbered where n = :n);\n`
  )
  const options = `-n -M prepared -j 1 -c ${clients} -T ${seconds} -l --log-prefix ${folder}/log`
  const args = [...options.split(' '), '-f', script, url]
  const child = spawn(findPgbench(), args, { stdio: ['ignore', 'pipe', 'ignore'] })
  await text(child.stdout)
  const log = join(folder, `log.${child.pid}`)
  // Each line: client, transaction, microseconds …
  const lines = (await readFile(log, 'utf8')).trim().split('\n')
  await rm(log)
  return summary(lines.map(line => Number(line.split(' ')[2]) / 1000))
}

function summary(times: number[]) {
  const [p50, p99] = [percentile(times, 0.5), percentile(times, 0.99)]
  return { count: times.length, 'p50 ms': p50, 'p99 ms': p99 }
}

function findPgbench(): string {
  const search = 'command -v pgbench || ls /usr/lib/postgresql/*/bin/pgbench'
  const [path] = spawnSync('sh', ['-c', search], { encoding: 'utf8' }).stdout.split('\n')
  if (!path) throw new PeerMissing('pgbench is not installed')
  return path
}
