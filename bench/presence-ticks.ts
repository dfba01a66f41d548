import { randomUUID } from 'node:crypto'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { build } from '../app.ts'
import type { PresenceConnection } from '../plugins/live/presence/room.ts'
import { startDatabase } from './support/database.ts'
import { round } from './support/statistics.ts'

/*
 * Measures what presence costs one node: the time in a second (five flushes and one exchange) in which its event loop
 * is busy, and the longest delay of the event loop. Compares several numbers of users, on one checklist and on many,
 * with one node and with two. Messages are only counted, so the cost of sockets is not included. The second node is a
 * worker thread with an event loop of its own.
 *
 * node bench/presence-ticks.ts [seconds of each case = 5] [most users on one list = 10000]
 */
const warmUpMs = 4000

/** The users whose presence one node holds, and their lists. */
interface NodeUsers {
  url: string
  lists: string[]
  users: number
}

if (isMainThread) await main()
else await runOtherNode(workerData)

async function main() {
  const seconds = Number(process.argv[2] ?? 5)
  const maxUsers = Number(process.argv[3] ?? 10_000)
  const database = await startDatabase()
  const { url } = database
  const lists = (count: number) => Array.from({ length: count }, () => randomUUID())
  const one = lists(1)
  const many = lists(5000)
  try {
    const rows: Record<string, object> = {}
    for (const users of [100, 1000, 10_000].filter(users => users <= maxUsers)) {
      const local = { url, lists: one, users }
      const typing = users / 10
      rows[`1 list, ${users} users, ${typing} type`] = await measure(local, 0, typing, seconds)
    }
    if (maxUsers >= 10_000)
      rows['1 list, 5000 + 5000 users on 2 nodes, 500 type'] = await measure(
        { url, lists: one, users: 5000 },
        5000,
        500,
        seconds
      )
    for (const otherUsers of [5000, 10_000]) {
      const local = { url, lists: many, users: 5000 }
      rows[`5000 lists, 5000 + ${otherUsers} users on 2 nodes`] = await measure(
        local,
        otherUsers,
        0,
        seconds
      )
    }
    rows['5000 lists, 5000 + 10000 users on 2 nodes, 500 type'] = await measure(
      { url, lists: many, users: 5000 },
      10_000,
      500,
      seconds
    )
    console.table(rows)
  } finally {
    await database.stop()
  }
}

async function measure(local: NodeUsers, otherUsers: number, typing: number, seconds: number) {
  const other = otherUsers > 0 ? await startOtherNode({ ...local, users: otherUsers }) : undefined
  const app = await start(local.url)
  const received = { messages: 0, bytes: 0 }
  const joinStart = performance.now()
  const connections = joinUsers(app, local, bytes => {
    received.messages++
    received.bytes += bytes.length
  })
  const joinEnd = performance.now()
  await delay(warmUpMs)
  const delays = monitorEventLoopDelay({ resolution: 1 })
  const before = { ...received }
  const sinceUtilization = performance.eventLoopUtilization()
  delays.enable()
  const until = performance.now() + seconds * 1000
  for (let caret = 0; performance.now() < until; caret++) {
    for (const connection of connections.slice(0, typing)) app.presence.set(connection, { caret })
    await delay(500)
  }
  delays.disable()
  const { active, idle } = performance.eventLoopUtilization(sinceUtilization)
  const measuredSeconds = (active + idle) / 1000
  await app.close()
  await other?.stop()
  return {
    'joining ms': Math.round(joinEnd - joinStart),
    'busy ms/s': Math.round(active / measuredSeconds),
    'longest delay ms': Math.round(delays.max / 1e6),
    'messages/s': Math.round((received.messages - before.messages) / measuredSeconds),
    'MB/s': round((received.bytes - before.bytes) / measuredSeconds / 1e6, 2)
  }
}

async function start(url: string) {
  const app = build({
    env: { DATABASE_URL: url, JWT_SECRET: 'x'.repeat(40), LOG_LEVEL: 'warn' }
  })
  await app.ready()
  return app
}

/** Joins users to the lists in turn. */
function joinUsers(
  app: Awaited<ReturnType<typeof start>>,
  { lists, users }: NodeUsers,
  send: PresenceConnection['sender']['send']
): PresenceConnection[] {
  return Array.from({ length: users }, (_, n) => {
    const connection: PresenceConnection = {
      checklistId: lists[n % lists.length] as string,
      connectionId: randomUUID(),
      userId: randomUUID(),
      name: `User ${n}`,
      sender: { send, isFull: false }
    }
    app.presence.join(connection)
    return connection
  })
}

async function startOtherNode(users: NodeUsers) {
  const worker = new Worker(new URL(import.meta.url), { workerData: users })
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

/** Runs the second node in the worker thread. */
async function runOtherNode(users: NodeUsers) {
  const app = await start(users.url)
  joinUsers(app, users, () => {})
  parentPort?.postMessage('ready')
  parentPort?.once('message', () => app.close())
}
