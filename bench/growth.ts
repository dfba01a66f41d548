import { spawnSync } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import postgres from 'postgres'
import { connectionOptions } from '../lib/postgres/connection.ts'
import type { Sql } from '../sql/executor.ts'
import { addChecklist, openLive, openMany, readCpuSeconds, registerUser } from './support/client.ts'
import { startDatabase } from './support/database.ts'
import { type Curve, draw } from './support/draw.ts'
import { countOperations, newItem, openReadyStream, toggle } from './support/load.ts'
import { cursorOf, fillLog } from './support/log.ts'
import { startService } from './support/service.ts'
import { percentile, round } from './support/statistics.ts'

/*
 * Measures how the costs grow with the time of a flush, the nodes, the streams, the items of a list, the projects of a
 * user and the events of the log. Writes each curve to docs/performance/ as SVG and the figures as growth.json.
 *
 * node bench/growth.ts [name of one curve]
 */
const folder = join(import.meta.dirname, '../docs/performance')
const seconds = 4
const repeats = 30

type Service = Awaited<ReturnType<typeof startService>>
type User = Awaited<ReturnType<typeof registerUser>>

/** A running service on a database of its own, with one user. */
interface Place {
  service: Service
  user: User
  sql: Sql
}

const curves: Record<string, () => Promise<Curve>> = {
  flush: () => withService(measureFlush),
  nodes: measureNodes,
  streams: () => withService(measureStreams),
  items: () => withService(measureItems),
  projects: () => withService(measureProjects),
  log: () => withService(measureLog)
}

const name = process.argv[2]
const file = join(folder, 'growth.json')
await mkdir(folder, { recursive: true })
const figures = JSON.parse(await readFile(file, 'utf8').catch(() => '{}'))
for (const [key, measure] of Object.entries(curves)) {
  if (name && key !== name) continue
  console.log(`\n${key}: measuring`)
  const curve = await measure()
  console.log(curve.title)
  console.table(curve.points)
  figures[key] = curve
  await writeFile(join(folder, `${key}.svg`), `${draw(curve)}\n`)
  await writeFile(file, `${JSON.stringify(figures, null, 2)}\n`)
}

async function withService(measure: (place: Place) => Promise<Curve>): Promise<Curve> {
  const database = await startDatabase()
  const sql: Sql = postgres(database.url, { ...connectionOptions(), max: 8 })
  const env = { DATABASE_URL: database.url, JWT_SECRET: crypto.randomUUID() }
  const service = await startService({ RATE_LIMIT: 'off', WEB: 'off', ...env })
  try {
    return await measure({ service, sql, user: await registerUser(service.url) })
  } finally {
    await sql.end()
    await service.stop()
    await database.stop()
  }
}

/** A flush takes longer on a slow disk or with a synchronous standby. Here, PostgreSQL waits before each flush. */
async function measureFlush({ service: { url }, user: { headers }, sql }: Place): Promise<Curve> {
  const points = []
  const lists = await openMany(8, () => addChecklist(url, headers, [newItem()]))
  for (const ms of [0, 1, 2, 5, 10]) {
    await sql.unsafe(`alter system set commit_delay = ${ms * 1000}`)
    await sql.unsafe('alter system set commit_siblings = 0')
    await sql`select pg_reload_conf()`
    const end = performance.now() + seconds * 1000
    let commits = 0
    const writers = lists.map(async ({ id }) => {
      for (; performance.now() < end; commits++)
        await sql`update checklist_items set done = not done where checklist_id = ${id}`
    })
    await Promise.all(writers)
    points.push({ x: ms, y: Math.round(commits / seconds), line: 'single statements, 8 writers' })
    const operations = await countOperations({ url, headers, seconds }, 32)
    points.push({ x: ms, y: Math.round(operations / seconds), line: 'operations of 32 sockets' })
  }
  return {
    title: 'What a slow flush costs',
    x: 'ms added to each flush of PostgreSQL',
    y: 'per second',
    points
  }
}

async function measureNodes(): Promise<Curve> {
  const json = join(folder, 'readers.json')
  const args = [join(import.meta.dirname, 'readers.ts'), String(seconds)]
  const { status } = spawnSync(process.execPath, args, {
    stdio: 'inherit',
    env: { ...process.env, BENCH_JSON: json }
  })
  if (status !== 0) throw new Error('the bench of readers failed')
  const rows: { rate: number; nodes: number; microseconds: number }[] = JSON.parse(
    await readFile(json, 'utf8')
  )
  await rm(json)
  return {
    title: 'What the nodes cost PostgreSQL for each commit, all together',
    x: 'nodes that read the log',
    y: 'µs of CPU for each commit',
    isLogarithmic: true,
    points: rows
      .filter(({ rate }) => rate > 0)
      .map(({ rate, nodes, microseconds }) => ({
        x: nodes,
        y: Math.round(microseconds * nodes),
        line: `${rate} commits a second`
      }))
  }
}

async function measureStreams({ service: { url }, user: { headers } }: Place): Promise<Curve> {
  const item = newItem()
  const { push } = await addChecklist(url, headers, [item])
  const points = []
  let open = 0
  let received = 0
  const delays: number[] = []
  for (const count of [100, 300, 1000, 3000, 10_000]) {
    await openMany(count - open, () =>
      openReadyStream(url, headers, block => {
        if (!block.startsWith('event: item.updated')) return
        // The clock of one stream in a hundred is enough for the median.
        if (++received % 100 === 0) delays.push(Date.now() - dateOf(block))
      })
    )
    open = count
    await push([toggle(item)])
    await delay(2000)
    received = delays.length = 0
    const before = await readCpuSeconds(url)
    const changes = 20
    for (let n = 0; n < changes; n++) {
      const next = delay(Math.max(200, count / 10))
      await push([toggle(item)])
      await next
    }
    while (received < changes * count) await delay(10)
    const cpu = ((await readCpuSeconds(url)) - before) * 1e6
    points.push({ x: count, y: round(cpu / received, 1), line: 'µs of CPU for each delivery' })
    points.push({ x: count, y: percentile(delays, 0.5), line: 'ms from the commit, median' })
  }
  return {
    title: 'One change for many streams of one process',
    x: 'streams',
    y: 'µs and ms',
    isLogarithmic: true,
    points
  }
}

async function measureItems({ service: { url }, user: { headers } }: Place): Promise<Curve> {
  const points = []
  for (const count of [10, 30, 100, 300, 1000]) {
    const items = Array.from({ length: count }, newItem)
    const { id, push } = await addChecklist(url, headers, items.slice(0, 100))
    for (let n = 100; n < count; n += 100)
      await push([{ kind: 'item.add', items: items.slice(n, n + 100), after: null }])
    const opening = await medianOf(async () => {
      const { promise, resolve } = Promise.withResolvers<void>()
      const socket = await openLive(url, headers, id, text => {
        if (text.includes('"type":"snapshot"')) resolve()
      })
      await promise
      socket.terminate()
    })
    const change = await medianOf(n => push([toggle(items[n % count] as (typeof items)[0])]))
    points.push({ x: count, y: opening, line: 'socket and list opened' })
    points.push({ x: count, y: change, line: 'one change' })
  }
  return {
    title: 'Long lists',
    x: 'items of the list',
    y: 'ms, median',
    isLogarithmic: true,
    points
  }
}

async function measureProjects({ service: { url }, user, sql }: Place): Promise<Curve> {
  const points = []
  let projects = 0
  for (const count of [1, 10, 100, 1000]) {
    await sql`
      with made as (
        insert into projects (name)
        select 'Bench ' || n
        from generate_series(1, ${count - projects}::int) as n
        returning id
      )
      insert into project_members (project_id, user_id, role)
      select id, ${user.id}, 'owner'
      from made`
    projects = count
    const stream = await medianOf(async () => {
      const opened = await openReadyStream(url, user.headers)
      opened.destroy()
    })
    const list = await medianOf(async () => {
      const response = await fetch(`${url}/projects`, { headers: user.headers })
      await response.arrayBuffer()
    })
    points.push({ x: count, y: stream, line: 'stream opened' })
    points.push({ x: count, y: list, line: 'GET /projects' })
  }
  return {
    title: 'Users with many projects',
    x: 'projects of the user',
    y: 'ms, median',
    isLogarithmic: true,
    points
  }
}

async function measureLog({ service: { url }, user: { headers }, sql }: Place): Promise<Curve> {
  const items = Array.from({ length: 100 }, newItem)
  const { id, push } = await addChecklist(url, headers, items)
  const points = []
  for (const count of [1000, 10_000, 100_000, 1_000_000]) {
    await fillLog(sql, count)
    const cursor = await cursorOf(url, headers)
    // A thousand events that a resumed stream has missed.
    for (let n = 0; n < 10; n++)
      await sql`update checklist_items set done = not done where checklist_id = ${id}`
    // An even number of updates has left `done` of every item as it was.
    const resume = await medianOf(async () => {
      const { promise, resolve } = Promise.withResolvers<void>()
      let events = 0
      const stream = await openReadyStream(url, { ...headers, 'last-event-id': cursor }, block => {
        if (block.startsWith('event: item.updated') && ++events === 1000) resolve()
      })
      await promise
      stream.destroy()
    })
    const change = await medianOf(n => push([toggle(items[n % 100] as (typeof items)[0])]))
    points.push({ x: count, y: resume, line: 'stream resumed, with 1,000 events' })
    points.push({ x: count, y: change, line: 'one change' })
  }
  return {
    title: 'A long log',
    x: 'events in the log',
    y: 'ms, median',
    isLogarithmic: true,
    points
  }
}

/** Returns the median time of some calls in milliseconds, after three that warm up. */
async function medianOf(work: (n: number) => Promise<unknown>): Promise<number> {
  const times: number[] = []
  for (let n = 0; n < repeats + 3; n++) {
    const start = performance.now()
    await work(n)
    if (n >= 3) times.push(performance.now() - start)
  }
  return round(percentile(times, 0.5), 1)
}

function dateOf(block: string): number {
  return Date.parse(/"at":"([^"]+)"/.exec(block)?.[1] ?? '')
}
