import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus } from 'node:os'
import { join } from 'node:path'
import { withTimeout } from '../../lib/with-timeout.ts'
import { readBusySeconds, readProcesses, treeSeconds } from './cpu.ts'
import { startDatabase } from './database.ts'
import { endAll, onEnd } from './ends.ts'
import { PeerMissing } from './peers.ts'
import { servers } from './process.ts'
import { percentile, round, sum } from './statistics.ts'

const limits = { rounds: 3, warmUpSeconds: 2, othersCores: 0.3, repeats: 3, roundMs: 90_000 }

/** Measured values by name and unit, such as `p99 ms`. */
export type Figures = Record<string, number>

/** The service, or a peer that does the same. */
export interface Variant {
  name: string
  /** Loads the variant for about `seconds`, and returns what `measure` measured. */
  round(seconds: number): Promise<Figures>
}

export interface Scenario {
  title: string
  /** the seconds of a round */
  seconds: number
  /** Starts the service and its peers on one database, and returns them in this order. */
  start(env: Environment): Promise<Variant[]>
}

/** The environment of the service and of its peers. */
export type Environment = ReturnType<typeof environment>

/** The cores that were busy during one measurement. */
interface Cores {
  /** of other programs */
  others: number
  /** of this process and its child processes, without the servers */
  generators: number
}

let postmaster = 0
let cores: Cores = { others: 0, generators: 0 }

/**
 * Measures the service and its peers in turns, prints a table of medians with their spread and ratios, and writes
 * bench/results/NAME.json.
 */
export async function compare(name: string, { title, seconds, start }: Scenario) {
  const results: { variant: string; figures: Figures[]; cores: Cores[] }[] = []
  try {
    const database = await startDatabase()
    onEnd(database.stop)
    postmaster = database.pid
    const variants = await start(environment(database.url))
    for (const { name: variant, round } of variants) {
      results.push({ variant, figures: [], cores: [] })
      await withTimeout(round(Math.min(limits.warmUpSeconds, seconds)), limits.roundMs)
    }
    for (let n = 0; n < limits.rounds; n++) {
      for (const [index, variant] of variants.entries()) {
        const figures = await measureQuietly(variant, seconds)
        results[index]?.figures.push(figures)
        results[index]?.cores.push(cores)
      }
    }
  } catch (error) {
    if (!(error instanceof PeerMissing)) throw error
    console.log(`${title}: skipped, because ${error.message}`)
    return
  } finally {
    await endAll()
  }
  print(title, results)
  const folder = join(import.meta.dirname, '../results')
  await mkdir(folder, { recursive: true })
  const machine = `${availableParallelism()} × ${cpus()[0]?.model}, Node ${process.versions.node}`
  const json = JSON.stringify({ name, title, machine, at: new Date(), results }, null, 2)
  await writeFile(join(folder, `${name}.json`), `${json}\n`)
}

function environment(url: string) {
  return {
    DATABASE_URL: url,
    JWT_SECRET: randomUUID(),
    RATE_LIMIT: 'off',
    LOG_LEVEL: 'warn',
    WEB: 'off'
  }
}

/** Measures one round. Repeats it, at most three times, while other programs use more than 0.3 cores. */
async function measureQuietly({ name, round: load }: Variant, seconds: number): Promise<Figures> {
  for (let n = 0; ; n++) {
    const figures = await withTimeout(load(seconds), limits.roundMs)
    if (cores.others <= limits.othersCores) return figures
    const isLast = n === limits.repeats
    const so = isLast ? 'the round counts nevertheless' : 'the round is repeated'
    console.log(`${name}: other programs used ${cores.others.toFixed(2)} cores, ${so}`)
    if (isLast) return figures
  }
}

/**
 * Runs `load`, which returns how many units (requests, deliveries …) the server has done and further figures. Adds the
 * units a second, and the CPU time of the server and of PostgreSQL for each unit.
 */
export async function measure(
  unit: string,
  pid: number,
  load: () => Promise<Figures & { count: number }>
): Promise<Figures> {
  const [before, busyBefore, start] = [
    await readProcesses(),
    await readBusySeconds(),
    performance.now()
  ]
  const { count, ...more } = await load()
  const [busyAfter, seconds, after] = [
    await readBusySeconds(),
    (performance.now() - start) / 1000,
    await readProcesses()
  ]
  const used = (root: number) => treeSeconds(after, root) - treeSeconds(before, root)
  const [all, database] = [used(process.pid), used(postmaster)]
  cores = {
    others: Math.max(0, busyAfter - busyBefore - all - database) / seconds,
    generators: (all - sum([...servers].map(used))) / seconds
  }
  return {
    [`${unit}s/s`]: count / seconds,
    [`CPU µs/${unit}`]: (used(pid) * 1e6) / count,
    ...(database > 0.02 && { [`CPU of PostgreSQL µs/${unit}`]: (database * 1e6) / count }),
    ...more
  }
}

function print(title: string, results: { variant: string; figures: Figures[]; cores: Cores[] }[]) {
  const [service, ...peers] = results
  if (!service) return
  const names = peers.map(({ variant }) => `${variant} | ratio |`)
  console.log(`\n${title}\n\n| median (min–max) | ${service.variant} | ${names.join(' ')}`)
  console.log(`|---|---|${'---|---|'.repeat(peers.length)}`)
  for (const figure of Object.keys(service.figures[0] ?? {})) {
    const own = service.figures.map(figures => figures[figure] ?? Number.NaN)
    const cells = peers.flatMap(({ figures }) => {
      const values = figures.map(found => found[figure] ?? Number.NaN)
      if (values.some(Number.isNaN)) return ['', '']
      return [spread(values), `**${spread(own.map((value, n) => value / (values[n] ?? 1)))}**`]
    })
    console.log(`| ${[figure, spread(own), ...cells].join(' | ')} |`)
  }
  const most = (key: keyof Cores) =>
    Math.max(...results.flatMap(({ cores }) => cores.map(used => used[key]))).toFixed(2)
  console.log(
    `\nCores used at most: generators ${most('generators')}, other programs ${most('others')}`
  )
}

/** Returns `median (min–max)` with three digits. */
function spread(values: number[]): string {
  const [low, median, high] = [Math.min(...values), percentile(values, 0.5), Math.max(...values)]
  return `${short(median)} (${short(low)}–${short(high)})`
}

function short(value: number): string {
  return value >= 1000
    ? Math.round(value).toLocaleString('en')
    : `${round(value, value >= 100 ? 0 : value >= 10 ? 1 : 2)}`
}
