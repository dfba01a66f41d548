import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import {
  addChecklist,
  type Headers,
  openLive,
  openMany,
  openStream,
  readMetrics,
  registerUser
} from './support/client.ts'
import { startService } from './support/service.ts'
import { percentile, round, sum } from './support/statistics.ts'

/*
 * Measures the latency of events to 1,000 streams that read, and the memory of the service, in three cases: without
 * other clients, with 1,000 other clients that read, and with 1,000 slow clients. A third of the slow clients are
 * streams that do not read, a third are streams that read a kilobyte a second, a third are sockets that do not read.
 * The other clients subscribe to a second project, whose changes fill the kernel's buffers of the slow clients.
 *
 * Latency is from the commit, by the clock of the database, to the read in this process. Memory is the resident set
 * size of the process of the service. Exits with 1 when a stream that reads misses an event or receives one twice, or
 * when a slow client costs more memory than docs/performance.md states.
 *
 * node bench/slow.ts [seconds of each turn = 20]
 */
const seconds = Number(process.argv[2] ?? 20)
const size = { clients: 1000, items: 50, text: 2000, changes: 2 }
const interval = { quietMs: 100, busyMs: 1000, memoryMs: 500, warmUpMs: 2000 }
/** Limit in docs/performance.md of the memory of a slow client: unsent bytes, a page of events, and the connection. */
const maxKb = 400

interface OtherClients {
  url: string
  headers: Headers
  listId: string
  isReading: boolean
}

if (isMainThread) await main()
else await runOtherClients(workerData as OtherClients)

async function main() {
  const service = await startService()
  const { url } = service
  try {
    const [owner, reader, other] = [
      await registerUser(url),
      await registerUser(url),
      await registerUser(url)
    ]
    const quiet = await createList(url, owner, [reader.email, other.email])
    const busy = await createList(url, owner, [other.email], size.items)
    const latencies: number[] = []
    const counts = Array.from({ length: size.clients }, () => 0)
    await openMany(size.clients, async n => {
      const stream = openStream(url, reader.headers, block => {
        if (!block.startsWith('event: item.')) return
        latencies.push(Date.now() - Date.parse(/"at":"([^"]+)"/.exec(block)?.[1] ?? ''))
        counts[n] = (counts[n] ?? 0) + 1
      })
      await once(stream, 'data')
    })
    let committed = 0

    /** Measures one case: with other clients that read (true) or do not read (false), or without other clients. */
    async function measure(isReading?: boolean) {
      const others = isReading === undefined ? undefined : startOtherClients(isReading)
      if (others) await once(others, 'message')
      while (isReading === false && (await countLagging(url)) < 0.99 * size.clients)
        await busy.change()
      await delay(interval.warmUpMs)
      latencies.length = 0
      let peak = 0
      const end = performance.now() + seconds * 1000
      const memory = every(interval.memoryMs, end, async () => {
        peak = Math.max(peak, await readMemoryKb(service.pid))
      })
      const writing = every(interval.busyMs, end, () => busy.change(size.changes))
      await every(interval.quietMs, end, async () => {
        await quiet.change()
        committed++
      })
      await Promise.all([memory, writing])
      while (counts.some(count => count < committed)) await delay(10)
      if (counts.some(count => count > committed)) throw new Error('an event was received twice')
      others?.postMessage('stop')
      if (others) await once(others, 'exit')
      const [p50, p99] = [percentile(latencies, 0.5), percentile(latencies, 0.99)]
      return { deliveries: latencies.length, p50, p99, peak }
    }

    const startOtherClients = (isReading: boolean) =>
      new Worker(new URL(import.meta.url), {
        workerData: {
          url,
          headers: other.headers,
          listId: busy.id,
          isReading
        } satisfies OtherClients
      })
    const atRest = await readMemoryKb(service.pid)
    const alone = await measure()
    const beside = await measure(true)
    const slow = await measure(false)
    const row = ({ deliveries, p50, p99, peak }: typeof alone) => ({
      deliveries,
      'p50 ms': p50,
      'p99 ms': p99,
      'p50 / alone': round(p50 / alone.p50, 2),
      'p99 / alone': round(p99 / alone.p99, 2),
      'peak MB': Math.round(peak / 1000)
    })
    console.log(
      `${size.clients} streams that read; the service uses ${Math.round(atRest / 1000)} MB after they have been opened`
    )
    console.table({
      alone: row(alone),
      'beside 1,000 that read': row(beside),
      'beside 1,000 that are slow': row(slow)
    })
    const cost = Math.round((slow.peak - atRest) / size.clients)
    console.log(`a slow client uses ${cost} kB of memory; the limit is ${maxKb} kB`)
    if (cost > maxKb) process.exitCode = 1
  } finally {
    await service.stop()
  }
}

/** Calls `work` every `ms` milliseconds until `end`, one call after the other. */
async function every(ms: number, end: number, work: () => Promise<unknown>) {
  for (let next = performance.now(); next < end; next += ms) {
    await delay(Math.max(0, next - performance.now()))
    await work()
  }
}

async function readMemoryKb(pid: number): Promise<number> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(pid)])
  return Number(stdout)
}

/** Returns the number of streams and sockets in the state `lagging`. */
async function countLagging(url: string): Promise<number> {
  const metrics = Object.entries(await readMetrics(url))
  const lagging = metrics.filter(([name]) =>
    /^concord_(streams|sockets)\{state="lagging"\}$/.test(name)
  )
  return sum(lagging.map(([, count]) => count))
}

/** Creates a checklist with one short item or many long ones. `change` changes some of the items in one commit. */
async function createList(
  url: string,
  { headers }: { headers: Headers },
  viewers: string[],
  count = 1
) {
  const textOf = (n: number) => `${n} `.padEnd(count === 1 ? 20 : size.text, 'x')
  const texts = Array.from({ length: count }, () => ({ itemId: randomUUID(), n: 0 }))
  const items = texts.map(({ itemId }) => ({ itemId, text: textOf(0) }))
  const { id, push } = await addChecklist(url, headers, items, viewers)
  return {
    id,
    change(changes = count) {
      const changed = texts.splice(0, changes)
      texts.push(...changed.map(({ itemId, n }) => ({ itemId, n: n + 1 })))
      return push(
        changed.map(({ itemId, n }) => {
          const set = { text: { from: textOf(n), to: textOf(n + 1) } }
          return { kind: 'item.set', itemId, set }
        })
      )
    }
  }
}

/** Runs in the worker: opens the other clients, and closes them when it receives a message. */
async function runOtherClients({ url, headers, listId, isReading }: OtherClients) {
  const closers: (() => void)[] = []
  await openMany(size.clients, n =>
    n % 3 === 2 ? openOtherSocket() : openOtherStream(n % 3 === 0)
  )
  parentPort?.postMessage('open')
  parentPort?.once('message', () => {
    for (const close of closers) close()
  })

  async function openOtherStream(isPaused: boolean) {
    const socket = openStream(url, headers, () => {})
    await once(socket, 'data')
    closers.push(() => socket.destroy())
    if (isReading) return
    socket.pause()
    if (isPaused) return
    const timer = setInterval(() => socket.read(100) && socket.pause(), 100)
    socket.on('close', () => clearInterval(timer))
  }

  async function openOtherSocket() {
    const socket = await openLive(url, headers, listId)
    closers.push(() => socket.terminate())
    if (!isReading) socket.pause()
  }
}
