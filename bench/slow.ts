import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import WebSocket from 'ws'
import { crowd, type Headers, makeList, openStream, person } from './client.ts'
import { startService } from './service.ts'

/*
 * What do 1,000 clients that hardly read cost 1,000 that do, and the memory of the service? The 1,000 follow
 * one project and are measured: alone, beside 1,000 others that read, and beside 1,000 others of whom a third
 * reads nothing, a third a kilobyte a second, and a third is sockets that read nothing. The others follow a
 * busy project as well: first so much happens there that the kernel takes no more for who does not read.
 *
 * Latency is from the commit, by the clock of the database, to the return of the read; memory is what the
 * system says of the process of the service. Ends with 1 when somebody who reads misses an event, or when
 * those who do not cost more memory than docs/performance.md says.
 *
 * node bench/slow.ts [seconds a turn = 20]
 */
const seconds = Number(process.argv[2] ?? 20)
const size = { each: 1000, items: 50, text: 2000, few: 2 }
const pace = { quietMs: 100, busyMs: 1000, memoryMs: 500, warmMs: 2000 }
/** Kilobytes a client, as in docs/performance.md: what is unsent, a page of the past, and the connection itself. */
const mostKb = 400

interface Others {
  url: string
  headers: Headers
  listId: string
  reads: boolean
}

if (isMainThread) await main()
else await beTheOthers(workerData as Others)

async function main() {
  const service = await startService()
  const { url } = service
  try {
    const [ann, hana, sam] = [await person(url), await person(url), await person(url)]
    const quiet = await list(url, ann, [hana.email, sam.email])
    const busy = await list(url, ann, [sam.email], size.items)
    const latencies: number[] = []
    const counts = Array.from({ length: size.each }, () => 0)
    await crowd(size.each, async n => {
      const stream = openStream(url, hana.headers, block => {
        if (!block.startsWith('event: item.')) return
        latencies.push(Date.now() - Date.parse(/"at":"([^"]+)"/.exec(block)?.[1] ?? ''))
        counts[n] = (counts[n] ?? 0) + 1
      })
      await once(stream, 'data')
    })
    let told = 0

    /** Measures, beside others who read or do not, or alone. */
    async function turn(reads?: boolean) {
      const others = reads === undefined ? undefined : startOthers(reads)
      if (others) await once(others, 'message')
      while (reads === false && (await laggingOf(url)) < 0.99 * size.each) await busy.change()
      await sleep(pace.warmMs)
      latencies.length = 0
      let peak = 0
      const end = performance.now() + seconds * 1000
      const memory = every(pace.memoryMs, end, async () => {
        peak = Math.max(peak, await memoryOf(service.pid))
      })
      const writing = every(pace.busyMs, end, () => busy.change(size.few))
      await every(pace.quietMs, end, async () => {
        await quiet.change()
        told++
      })
      await Promise.all([memory, writing])
      while (counts.some(count => count < told)) await sleep(10)
      if (counts.some(count => count > told)) throw new Error('an event came twice')
      others?.postMessage('stop')
      if (others) await once(others, 'exit')
      const sorted = latencies.toSorted((a, b) => a - b)
      const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN
      return { deliveries: sorted.length, p50: at(0.5), p99: at(0.99), peak }
    }

    const startOthers = (reads: boolean) =>
      new Worker(new URL(import.meta.url), {
        workerData: { url, headers: sam.headers, listId: busy.id, reads } satisfies Others
      })
    const atRest = await memoryOf(service.pid)
    const alone = await turn()
    const beside = await turn(true)
    const slow = await turn(false)
    const row = ({ deliveries, p50, p99, peak }: typeof alone) => ({
      deliveries,
      'p50 ms': p50,
      'p99 ms': p99,
      'p50 / alone': Number((p50 / alone.p50).toFixed(2)),
      'p99 / alone': Number((p99 / alone.p99).toFixed(2)),
      'peak MB': Math.round(peak / 1000)
    })
    console.log(
      `${size.each} streams that read; ${Math.round(atRest / 1000)} MB when they are open`
    )
    console.table({
      alone: row(alone),
      'beside others that read': row(beside),
      'beside others that do not': row(slow)
    })
    const cost = Math.round((slow.peak - atRest) / size.each)
    console.log(`a client that does not read costs ${cost} kB of the process, ${mostKb} at most`)
    if (cost > mostKb) process.exitCode = 1
  } finally {
    await service.stop()
  }
}

async function every(ms: number, end: number, work: () => Promise<unknown>) {
  for (let next = performance.now(); next < end; next += ms) {
    await sleep(Math.max(0, next - performance.now()))
    await work()
  }
}

async function memoryOf(pid: number): Promise<number> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(pid)])
  return Number(stdout)
}

/** How many clients are known to be slow. */
async function laggingOf(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  const counts = metrics.matchAll(/^concord_(?:streams|sockets)\{state="lagging"\} (\d+)$/gm)
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
}

/** A list whose texts are long if there are many. `change` rewrites some of them in one commit. */
async function list(url: string, { headers }: { headers: Headers }, viewers: string[], count = 1) {
  const textOf = (n: number) => `${n} `.padEnd(count === 1 ? 20 : size.text, 'x')
  const texts = Array.from({ length: count }, () => ({ itemId: randomUUID(), n: 0 }))
  const items = texts.map(({ itemId }) => ({ itemId, text: textOf(0) }))
  const { id, push } = await makeList(url, headers, items, viewers)
  return {
    id,
    change(few = count) {
      const some = texts.splice(0, few)
      texts.push(...some.map(({ itemId, n }) => ({ itemId, n: n + 1 })))
      return push(
        some.map(({ itemId, n }) => {
          const set = { text: { from: textOf(n), to: textOf(n + 1) } }
          return { kind: 'item.set', itemId, set }
        })
      )
    }
  }
}

/** The thread of those beside whom the others are measured. */
async function beTheOthers({ url, headers, listId, reads }: Others) {
  const ends: (() => void)[] = []
  await crowd(size.each, n => (n % 3 === 2 ? openSocket() : followStream(n % 3 === 0)))
  parentPort?.postMessage('open')
  parentPort?.once('message', () => {
    for (const end of ends) end()
  })

  async function followStream(isStill: boolean) {
    const socket = openStream(url, headers, () => {})
    await once(socket, 'data')
    ends.push(() => socket.destroy())
    if (reads) return
    socket.pause()
    if (isStill) return
    const timer = setInterval(() => socket.read(100) && socket.pause(), 100)
    socket.on('close', () => clearInterval(timer))
  }

  async function openSocket() {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/live`, { headers })
    await once(socket, 'open')
    socket.send(JSON.stringify({ type: 'open', checklistId: listId }))
    ends.push(() => socket.terminate())
    if (!reads) socket.pause()
  }
}
