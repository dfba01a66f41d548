import { setTimeout as sleep } from 'node:timers/promises'
import type { Sql } from 'postgres'
import { startAttacker } from './attacker.ts'
import { type Attack, attacks } from './attacks.ts'
import type { createBystander, Measured } from './bystander.ts'
import type { Meter } from './costs.ts'
import { missesOf } from './figures.ts'

/** Where attacks are played. */
export interface Stage {
  url: string
  databaseUrl: string
  sql: Sql
  bystander: Awaited<ReturnType<typeof createBystander>>
  meter: Meter
  /** The newest lines of the service's log. */
  log: string[]
}

// A socket whose messages still wait for their turn is closed after them.
const pace = { quietMs: 4000, lingerMs: 10_000, lookMs: 250 }
const measurements = ['push', 'read', 'delivery'] as const

export type Round = Awaited<ReturnType<typeof playRound>>

/** Prepares one attack, measures the bystander without and with it, and waits until the service has calmed down. */
export async function playRound(stage: Stage, name: string, seconds: number) {
  const { url, databaseUrl, sql, bystander, meter, log } = stage
  const connectionsBefore = await meter.connections()
  const attacker = await startAttacker({ name, url, databaseUrl, seconds })
  await meter.calmed()
  const quiet = await bystander.measure(Math.min(pace.quietMs, seconds * 1000))

  const head = await headOf(sql)
  log.length = 0
  const watched = meter.watch()
  const cpuBefore = await meter.cpu()
  const measuring = bystander.measure(seconds * 1000)
  const report = await attacker.play()
  const cpu = await meter.cpu()
  const attacked = await measuring
  const { memoryMb, delayMs } = await watched()
  const calmSeconds = await meter.calmed()
  const connectionsLeft = (await connectionsLater(meter, connectionsBefore)) - connectionsBefore
  const written = await writtenAfter(sql, head, bystander.userId)

  return {
    name,
    what: attacks[name]?.what ?? '',
    ...report,
    ...written,
    amplification: written.bytesWritten / report.bytesSent,
    cpu: {
      service: cpu.service - cpuBefore.service,
      postgres: cpu.postgres - cpuBefore.postgres,
      attacker: report.cpuSeconds
    },
    memoryMb,
    delayMs,
    calmSeconds,
    connectionsLeft,
    quiet,
    attacked,
    faults: faultsIn(log),
    misses: [
      ...missesIn(attacks[name], quiet, attacked),
      ...Object.keys(report.answers)
        .filter(isFault)
        .map(answer => `an answer was ${answer}`),
      ...(connectionsLeft > 0 ? [`${connectionsLeft} connections stayed open`] : [])
    ]
  }
}

function missesIn(attack: Attack | undefined, quiet: Measured, attacked: Measured): string[] {
  return measurements
    .filter(name => !attack?.delays?.includes(name))
    .flatMap(name => missesOf(quiet[name], attacked[name]).map(miss => `${name}: ${miss}`))
}

/** Whether an answer is a fault of the service: a 5xx, but for the 503 of a service that is busy. */
function isFault(answer: string): boolean {
  return (answer.startsWith('status 5') && answer !== 'status 503') || answer === 'error INTERNAL'
}

/** Returns how often each error was logged, by its code or message. */
function faultsIn(log: string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const line of log) {
    const { msg, err, fault } = JSON.parse(line)
    const name = [msg, err?.code ?? err?.message, fault].filter(Boolean).join(': ')
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

/** Returns the number of open connections once it has fallen back, or after 10 s. */
async function connectionsLater(meter: Meter, before: number): Promise<number> {
  const start = performance.now()
  for (;;) {
    const now = await meter.connections()
    if (now <= before || performance.now() - start > pace.lingerMs) return now
    await sleep(pace.lookMs)
  }
}

async function headOf(sql: Sql): Promise<number> {
  const [{ pos }] = await sql<[{ pos: number }]>`
    select coalesce(max(pos), 0)::float8 as pos
    from events`
  return pos
}

/** Returns how many events others than the bystander have logged, and their size in bytes. */
async function writtenAfter(sql: Sql, pos: number, bystanderId: string) {
  const [{ events, bytes }] = await sql<[{ events: number; bytes: number }]>`
    select
      count(*)::float8 as events,
      coalesce(sum(octet_length(concat(before::text, after::text))), 0)::float8 as bytes
    from events
    where pos > ${pos}
    and actor_id is distinct from ${bystanderId}`
  return { eventsWritten: events, bytesWritten: bytes }
}
