import autocannon from 'autocannon'
import { addChecklist, openMany, readCpuSeconds, registerUser } from './support/client.ts'
import { countOperations, type Load, newItem, openReadyStream, toggle } from './support/load.ts'
import { startService } from './support/service.ts'
import { round } from './support/statistics.ts'

/*
 * Measures a node with one process and with two workers, in turns: responses to GET /users/me, changes delivered to 500
 * streams, and operations acknowledged on 32 sockets, each per second and as CPU time of the service. The clients and
 * PostgreSQL use the same cores: the more cores, the larger the ratios.
 *
 * node bench/workers.ts [seconds of each measurement = 4] [rounds = 2]
 */
const seconds = Number(process.argv[2] ?? 4)
const rounds = Number(process.argv[3] ?? 2)
const workerCounts = [1, 2]
// Each process compiles its code while it warms up.
const warmUpSeconds = 2
const size = { requests: 20, streams: 500, changes: 10, sockets: 32 }

/** The sums of several measurements. */
interface Measured {
  count: number
  seconds: number
  cpuSeconds: number
}

const measurements: Record<string, (load: Load) => Promise<number>> = {
  'GET /users/me': countResponses,
  'changes to streams': countDeliveries,
  'operations on sockets': load => countOperations(load, size.sockets)
}

const results = new Map<string, Measured>()
for (let n = 0; n < rounds; n++) {
  for (const workers of workerCounts) await measureAll(workers)
}
const rows = Object.keys(measurements).map(name => {
  const [one, two] = workerCounts.map(workers => results.get(`${name} ${workers}`) as Measured)
  return [name, compare(one as Measured, two as Measured)]
})
console.log(`WORKERS=1 and 2, ${rounds} × ${seconds} s each`)
console.table(Object.fromEntries(rows))

async function measureAll(workers: number) {
  const service = await startService({ RATE_LIMIT: 'off', WORKERS: String(workers) })
  try {
    const { headers } = await registerUser(service.url)
    for (const [name, measure] of Object.entries(measurements)) {
      await measure({ url: service.url, headers, seconds: warmUpSeconds })
      const before = await readCpuSeconds(service.url)
      const start = performance.now()
      const count = await measure({ url: service.url, headers, seconds })
      add(`${name} ${workers}`, {
        count,
        seconds: (performance.now() - start) / 1000,
        cpuSeconds: (await readCpuSeconds(service.url)) - before
      })
    }
  } finally {
    await service.stop()
  }
}

function add(key: string, { count, seconds, cpuSeconds }: Measured) {
  const so = results.get(key) ?? { count: 0, seconds: 0, cpuSeconds: 0 }
  results.set(key, {
    count: so.count + count,
    seconds: so.seconds + seconds,
    cpuSeconds: so.cpuSeconds + cpuSeconds
  })
}

async function countResponses({ url, headers, seconds }: Load): Promise<number> {
  const { '2xx': good, non2xx } = await autocannon({
    url: `${url}/users/me`,
    headers,
    connections: size.requests,
    duration: seconds,
    workers: 1
  })
  if (non2xx > 0) throw new Error(`${non2xx} responses other than 2xx`)
  return good
}

/** Changes ten items again and again, as soon as every stream has received the last changes. */
async function countDeliveries({ url, headers, seconds }: Load): Promise<number> {
  const items = Array.from({ length: size.changes }, () => newItem())
  const { push } = await addChecklist(url, headers, items)
  let received = 0
  let expected = 0
  let complete = () => {}
  const streams = await openMany(size.streams, () =>
    openReadyStream(url, headers, block => {
      if (block.includes('event: item.updated') && ++received === expected) complete()
    })
  )
  for (const end = performance.now() + seconds * 1000; performance.now() < end; ) {
    const { promise, resolve } = Promise.withResolvers<void>()
    complete = resolve
    expected += size.changes * size.streams
    await push(items.map(toggle))
    await promise
  }
  for (const stream of streams) stream.destroy()
  return received
}

function compare(one: Measured, two: Measured) {
  const perSecond = ({ count, seconds }: Measured) => count / seconds
  const cpu = ({ count, cpuSeconds }: Measured) => (cpuSeconds * 1e6) / count
  return {
    '1 worker /s': Math.round(perSecond(one)),
    '2 workers /s': Math.round(perSecond(two)),
    ratio: round(perSecond(two) / perSecond(one), 2),
    '1 worker CPU µs': round(cpu(one), 1),
    '2 workers CPU µs': round(cpu(two), 1),
    'CPU ratio': round(cpu(two) / cpu(one), 2)
  }
}
