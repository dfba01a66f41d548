import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import postgres from 'postgres'
import { connectionOptions } from '../lib/postgres/connection.ts'
import type { Sql } from '../sql/executor.ts'
import { migrate } from '../sql/migrate.ts'
import { startDatabase } from './support/database.ts'
import { round } from './support/statistics.ts'

/*
 * Measures the CPU time that PostgreSQL spends on the nodes that read the log: their LISTEN connections, their queries
 * of the log and their heartbeats, for each commit and node, and for each second of an idle node. The nodes run only
 * the plugin `pubsub`, all in one worker thread. Compares with another version of the service, in turns. Linux only.
 * With BENCH_JSON, writes the costs of this version to that file, too.
 *
 * node bench/readers.ts [seconds of each measurement = 5] [folder of another version, such as a git worktree]
 */
const nodeCounts = [1, 4, 8, 16, 32]
const rates = [0, 100, 400]
const limits = { writers: 6, tickMs: 10, maxPending: 100, warmUpMs: 2000, minIdleSeconds: 10 }

/** CPU time in microseconds: of PostgreSQL for the connections of the nodes, and of the thread of the nodes. */
interface Cpu {
  listen: number
  read: number
  nodes: number
}

interface Measured extends Cpu {
  commits: number
  seconds: number
}

if (isMainThread) await main()
else await runNodes(workerData)

async function main() {
  const seconds = Number(process.argv[2] ?? 5)
  const folders = { now: join(import.meta.dirname, '..'), other: process.argv[3] }
  const database = await startDatabase()
  const sql: Sql = postgres(database.url, { ...connectionOptions(), max: limits.writers })
  try {
    await migrate(sql)
    const ids = await insertItems(sql)
    const rows: Record<string, object> = {}
    const costs: object[] = []
    for (const rate of rates) {
      for (const nodes of nodeCounts) {
        const all: Record<string, Measured> = {}
        for (let n = 0; n < (folders.other ? 2 : 1); n++) {
          for (const [name, folder] of Object.entries(folders)) {
            if (!folder) continue
            const measured = await measure(sql, ids, {
              url: database.url,
              folder: resolve(folder),
              nodes,
              rate,
              seconds: rate === 0 ? Math.max(seconds, limits.minIdleSeconds) : seconds
            })
            all[name] = add(all[name], measured)
          }
        }
        const row = rate === 0 ? 'idle' : `${rate} commits/s`
        rows[`${row}, nodes: ${nodes}`] = figures(all, nodes, rate === 0)
        const now = all.now as Measured
        const units = nodes * (rate === 0 ? now.seconds : now.commits)
        costs.push({ rate, nodes, microseconds: (now.listen + now.read) / units })
      }
    }
    console.log(
      'CPU microseconds of PostgreSQL for each commit and node; idle: for each second and node'
    )
    console.table(rows)
    if (process.env.BENCH_JSON) await writeFile(process.env.BENCH_JSON, JSON.stringify(costs))
  } finally {
    await sql.end()
    await database.stop()
  }
}

async function insertItems(sql: Sql): Promise<string[]> {
  const [project] = await sql<
    [{ id: string }]
  >`insert into projects (name) values ('Bench') returning id`
  const [list] = await sql<[{ id: string }]>`
    insert into checklists (project_id, title)
    values (${project.id}, 'To buy')
    returning id`
  const ids = Array.from({ length: 100 }, () => randomUUID())
  await sql`
    insert into checklist_items (id, checklist_id, text)
    select id, ${list.id}, 'Milk'
    from unnest(${ids}::uuid[]) as new (id)`
  return ids
}

async function measure(
  sql: Sql,
  ids: string[],
  {
    url,
    folder,
    nodes,
    rate,
    seconds
  }: {
    url: string
    folder: string
    nodes: number
    rate: number
    seconds: number
  }
): Promise<Measured> {
  const worker = new Worker(new URL(import.meta.url), { workerData: { url, folder, nodes } })
  await once(worker, 'message')
  const writing = write(sql, ids, rate)
  await delay(limits.warmUpMs)

  const [before, commits, start] = [await cpu(sql, worker), writing.commits, performance.now()]
  await delay(seconds * 1000)
  const after = await cpu(sql, worker)
  const measured = {
    listen: after.listen - before.listen,
    read: after.read - before.read,
    nodes: after.nodes - before.nodes,
    commits: writing.commits - commits,
    seconds: (performance.now() - start) / 1000
  }

  await writing.stop()
  worker.postMessage('stop')
  await once(worker, 'exit')
  return measured
}

/** Commits `rate` updates of one row each second, or fewer when PostgreSQL is slower. */
function write(sql: Sql, ids: string[], rate: number) {
  let [started, pending, commits] = [0, 0, 0]
  const start = performance.now()
  const timer = setInterval(() => {
    const due = ((performance.now() - start) / 1000) * rate
    for (; started < due; started++) if (pending < limits.maxPending) void update()
  }, limits.tickMs)
  return {
    get commits() {
      return commits
    },
    async stop() {
      clearInterval(timer)
      while (pending > 0) await delay(limits.tickMs)
    }
  }

  async function update() {
    pending++
    await sql`
      update checklist_items
      set done = not done
      where id = ${ids[started % ids.length] as string}`
    pending--
    commits++
  }
}

async function cpu(sql: Sql, worker: Worker): Promise<Cpu> {
  const connections = await sql<{ pid: number; name: string }[]>`
    select pid, application_name as name
    from pg_stat_activity
    where application_name in ('concord listen', 'concord tail', 'concord heartbeat')`
  const used = { listen: 0, read: 0 }
  for (const { pid, name } of connections) {
    // The first number is the time on a CPU in nanoseconds (Documentation/scheduler/sched-stats.rst of Linux).
    const text = await readFile(`/proc/${pid}/schedstat`, 'utf8')
    used[name === 'concord tail' ? 'read' : 'listen'] += Number.parseInt(text, 10) / 1000
  }
  worker.postMessage('cpu')
  const [nodes] = await once(worker, 'message')
  return { ...used, nodes }
}

function add(
  sum: Measured | undefined,
  { listen, read, nodes, commits, seconds }: Measured
): Measured {
  if (!sum) return { listen, read, nodes, commits, seconds }
  return {
    listen: sum.listen + listen,
    read: sum.read + read,
    nodes: sum.nodes + nodes,
    commits: sum.commits + commits,
    seconds: sum.seconds + seconds
  }
}

function figures({ now, other }: Record<string, Measured>, nodes: number, isIdle: boolean) {
  const per = ({ commits, seconds }: Measured) => nodes * (isIdle ? seconds : commits)
  const columns = (name: string, measured: Measured) => ({
    [`${name}: commits/s`]: Math.round(measured.commits / measured.seconds),
    [`${name}: LISTEN`]: round(measured.listen / per(measured), 0),
    [`${name}: read`]: round(measured.read / per(measured), 0),
    [`${name}: node`]: round(measured.nodes / per(measured), 0)
  })
  if (!now) return {}
  if (!other) return columns('now', now)
  const total = (measured: Measured) => (measured.listen + measured.read) / per(measured)
  return {
    ...columns('other', other),
    ...columns('now', now),
    ratio: round(total(now) / total(other), 2)
  }
}

/** Runs nodes of the version in `folder` until the main thread sends `stop`; returns their CPU time at `cpu`. */
async function runNodes({ url, folder, nodes }: { url: string; folder: string; nodes: number }) {
  const { default: pubsub } = await import(join(folder, 'plugins/pubsub/pubsub.ts'))
  const hooks: (() => Promise<void>)[] = []
  const options = connectionOptions({ application_name: 'concord heartbeat' })
  const sql: Sql = postgres(url, { ...options, max: 2 })
  for (let n = 0; n < nodes; n++) {
    const counter = { inc() {}, observe() {} }
    const metrics = new Proxy({}, { get: (_, name) => (name === 'gauge' ? () => {} : counter) })
    const log = { info() {}, warn() {}, error: console.error }
    await pubsub({
      ...{ config: {}, database: { url, listenUrl: url }, sql, log, metrics },
      decorate() {},
      addHook: (_: string, close: () => Promise<void>) => hooks.unshift(close)
    })
  }
  parentPort?.on('message', async message => {
    if (message === 'stop') {
      await Promise.all(hooks.map(close => close()))
      await sql.end()
      parentPort?.close()
    } else {
      const { user, system } = process.threadCpuUsage()
      parentPort?.postMessage(user + system)
    }
  })
  parentPort?.postMessage('ready')
}
