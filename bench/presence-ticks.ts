import { randomUUID } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { build } from '../app.ts'
import { startPostgres } from '../lib/embedded-postgres/server.ts'
import type { PresenceConnection } from '../plugins/live/presence/room.ts'

/*
 * Measures what presence costs one node: how long its event loop is busy in a second, which holds five
 * flushes and one exchange, and how long it stands still at most. Visitors receive into a counter, so sockets
 * cost nothing here. The other node is a worker thread, with an event loop of its own.
 *
 * node bench/presence-ticks.ts [seconds a case = 5] [most people on one list = 10000]
 */
const settleMs = 4000

interface Crowd {
  url: string
  lists: string[]
  people: number
}

if (isMainThread) await main()
else await crowd(workerData)

async function main() {
  const seconds = Number(process.argv[2] ?? 5)
  const most = Number(process.argv[3] ?? 10_000)
  const folder = await mkdtemp(join(tmpdir(), 'concord-bench-'))
  await chmod(folder, 0o755) // the user that PostgreSQL runs as has to get through
  const database = await startPostgres(folder)
  const { url } = database
  const lists = (count: number) => Array.from({ length: count }, () => randomUUID())
  const one = lists(1)
  const many = lists(5000)
  try {
    const rows: Record<string, object> = {}
    for (const people of [100, 1000, 10_000].filter(people => people <= most)) {
      const here = { url, lists: one, people }
      const typing = people / 10
      rows[`1 list, ${people} here, ${typing} type`] = await measure(here, 0, typing, seconds)
    }
    if (most >= 10_000)
      rows['1 list, 5000 here, 5000 elsewhere, 500 type'] = await measure(
        { url, lists: one, people: 5000 },
        5000,
        500,
        seconds
      )
    for (const elsewhere of [5000, 10_000]) {
      const here = { url, lists: many, people: 5000 }
      rows[`5000 lists, 5000 here, ${elsewhere} elsewhere`] = await measure(
        here,
        elsewhere,
        0,
        seconds
      )
    }
    rows['5000 lists, 5000 here, 10000 elsewhere, 500 type'] = await measure(
      { url, lists: many, people: 5000 },
      10_000,
      500,
      seconds
    )
    console.table(rows)
  } finally {
    await database.stop()
    await rm(folder, { recursive: true })
  }
}

async function measure(here: Crowd, elsewhere: number, typing: number, seconds: number) {
  const other = elsewhere > 0 ? await startOther({ ...here, people: elsewhere }) : undefined
  const app = await start(here.url)
  const received = { messages: 0, bytes: 0 }
  const entering = performance.now()
  const visitors = enter(app, here, bytes => {
    received.messages++
    received.bytes += bytes.length
  })
  const entered = performance.now()
  await delay(settleMs)
  const stalls = monitorEventLoopDelay({ resolution: 1 })
  const before = { ...received }
  const sinceUtilization = performance.eventLoopUtilization()
  stalls.enable()
  const until = performance.now() + seconds * 1000
  for (let caret = 0; performance.now() < until; caret++) {
    for (const visitor of visitors.slice(0, typing)) app.presence.set(visitor, { caret })
    await delay(500)
  }
  stalls.disable()
  const { active, idle } = performance.eventLoopUtilization(sinceUtilization)
  const lasted = (active + idle) / 1000
  await app.close()
  await other?.stop()
  return {
    'to enter ms': Math.round(entered - entering),
    'busy ms/s': Math.round(active / lasted),
    'longest stall ms': Math.round(stalls.max / 1e6),
    'messages/s': Math.round((received.messages - before.messages) / lasted),
    'MB/s': Number(((received.bytes - before.bytes) / lasted / 1e6).toFixed(2))
  }
}

async function start(url: string) {
  const app = build({
    env: { DATABASE_URL: url, JWT_SECRET: 'x'.repeat(40), LOG_LEVEL: 'warn' }
  })
  await app.ready()
  return app
}

/** Joins people to the lists, one after the other. */
function enter(
  app: Awaited<ReturnType<typeof start>>,
  { lists, people }: Crowd,
  send: PresenceConnection['send']
): PresenceConnection[] {
  return Array.from({ length: people }, (_, n) => {
    const visitor: PresenceConnection = {
      checklistId: lists[n % lists.length] as string,
      connectionId: randomUUID(),
      userId: randomUUID(),
      name: `Person ${n}`,
      send,
      isFull: () => false
    }
    app.presence.join(visitor)
    return visitor
  })
}

async function startOther(there: Crowd) {
  const worker = new Worker(new URL(import.meta.url), { workerData: there })
  await new Promise<void>((resolve, reject) => {
    worker.once('message', () => resolve())
    worker.once('error', reject)
  })
  return {
    async stop() {
      const stopped = new Promise(resolve => worker.once('exit', resolve))
      worker.postMessage('stop')
      await stopped
    }
  }
}

/** The other node. */
async function crowd(there: Crowd) {
  const app = await start(there.url)
  enter(app, there, () => {})
  parentPort?.postMessage('ready')
  parentPort?.once('message', () => app.close())
}
