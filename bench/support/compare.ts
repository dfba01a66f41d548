import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus } from 'node:os'
import { basename, join } from 'node:path'
import { withTimeout } from '../../lib/with-timeout.ts'
import { readBusySeconds, readProcesses, treeSeconds } from './cpu.ts'
import { readPostmasterPid, startDatabase } from './database.ts'
import { endAll, onEnd } from './ends.ts'
import { PeerMissing } from './peers.ts'
import { servers } from './process.ts'
import { percentile, round, sum } from './statistics.ts'

const limits = { rounds: 3, warmUpSeconds: 1, othersCores: 0.3, repeats: 3, roundMs: 120_000 }

/** Measured values by name and unit, such as `p99 ms`. */
export type Figures = Record<string, number>

/** The service, or a peer that does the same. */
export interface Variant<Load> {
  name: string
  /** Applies the load for about `seconds`, and returns what `measure` measured. */
  round(load: Load, seconds: number): Promise<Figures>
}

export interface Scenario<Load> {
  title: string
  /** The seconds of a round. Without them, a round takes as long as its work, and is not warmed up. */
  seconds?: number
  /** The loads by name. The first argument of the command selects those whose name contains it. */
  loads: Record<string, Load>
  /** Starts the service and its peers on one database, and returns them in this order. */
  start(env: Environment): Promise<Variant<Load>[]>
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

/** All rounds of one variant with one load. */
interface Result {
  variant: string
  figures: Figures[]
  cores: Cores[]
}

/** the process ids of PostgreSQL, which are not child processes of this process */
const postmasters = new Set<number>()
let cores: Cores = { others: 0, generators: 0 }

/**
 * Measures the service and its peers in turns, prints a table of medians with their spread and ratios for each load,
 * and writes bench/results/NAME.json. The name is that of the script.
 */
export async function compare<Load>({ title, seconds = 0, loads, start }: Scenario<Load>) {
  const [, script = '', only = ''] = process.argv
  const results: Record<string, Result[]> = {}
  try {
    const database = await startDatabase()
    onEnd(database.stop)
    postmasters.add(database.pid)
    const variants = await start(environment(database.url))
    for (const [name, load] of Object.entries(loads)) {
      if (!name.includes(only)) continue
      const rounds = await measureRounds(variants, load, seconds)
      print(`${title}, ${name}`, rounds)
      results[name] = rounds
    }
  } catch (error) {
    if (!(error instanceof PeerMissing)) throw error
    console.log(`${title}: skipped, because ${error.message}`)
    return
  } finally {
    await endAll()
  }
  const folder = join(import.meta.dirname, '../results')
  await mkdir(folder, { recursive: true })
  const machine = `${availableParallelism()} × ${cpus()[0]?.model}, Node ${process.versions.node}`
  const json = JSON.stringify({ title, machine, at: new Date(), results }, null, 2)
  await writeFile(join(folder, `${basename(script, '.ts')}.json`), `${json}\n`)
}

/** Counts a further PostgreSQL, in a folder of its own, as part of the measurement. */
export async function addPostgres(folder: string) {
  postmasters.add(await readPostmasterPid(folder))
}

async function measureRounds<Load>(
  variants: Variant<Load>[],
  load: Load,
  seconds: number
): Promise<Result[]> {
  const results = variants.map(({ name }): Result => ({ variant: name, figures: [], cores: [] }))
  const warmUp = Math.min(limits.warmUpSeconds, seconds)
  if (seconds > 0) {
    for (const variant of variants) await withTimeout(variant.round(load, warmUp), limits.roundMs)
  }
  for (let n = 0; n < limits.rounds; n++) {
    for (const [index, variant] of variants.entries()) {
      results[index]?.figures.push(await measureQuietly(variant, load, seconds))
      results[index]?.cores.push(cores)
    }
  }
  return results
}

/** Measures one round. Repeats it, at most three times, while other programs use more than 0.3 cores. */
async function measureQuietly<Load>(
  { name, round: apply }: Variant<Load>,
  load: Load,
  seconds: number
): Promise<Figures> {
  for (let n = 0; ; n++) {
    const figures = await withTimeout(apply(load, seconds), limits.roundMs)
    if (cores.others <= limits.othersCores) return figures
    const isLast = n === limits.repeats
    const so = isLast ? 'the round counts nevertheless' : 'the round is repeated'
    console.log(`${name}: other programs used ${cores.others.toFixed(2)} cores, ${so}`)
    if (isLast) return figures
  }
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

/**
 * Runs `load`, which returns how many units (requests, deliveries …) the server has done and further figures. Adds the
 * units a second, and the CPU time of PostgreSQL and of the server `pid`, if there is one, for each unit.
 */
export async function measure(
  unit: string,
  pid: number | undefined,
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
  const used = (root: number) =>
    after.has(root) ? treeSeconds(after, root) - treeSeconds(before, root) : 0
  const [all, database] = [used(process.pid), sum([...postmasters].map(used))]
  cores = {
    others: Math.max(0, busyAfter - busyBefore - all - database) / seconds,
    generators: (all - sum([...servers].map(used))) / seconds
  }
  return {
    ...(count > 1 && { [`${unit.replace(/y$/, 'ie')}s/s`]: count / seconds }),
    ...(pid && { [`CPU µs/${unit}`]: (used(pid) * 1e6) / count }),
    [`CPU of PostgreSQL µs/${unit}`]: (database * 1e6) / count,
    ...more
  }
}

function print(title: string, results: Result[]) {
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
      if (values.includes(0)) return [spread(values), '']
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
