import { setTimeout as delay } from 'node:timers/promises'
import type { Sql } from 'postgres'
import { startAttacker } from './attacker.ts'
import { type Attack, attacks } from './attacks.ts'
import { findMisses } from './figures.ts'
import type { Meter } from './meter.ts'
import type { createProbe, Latencies } from './probe.ts'

/** The service under attack, and the objects that measure it. */
export interface AttackEnvironment {
  url: string
  databaseUrl: string
  sql: Sql
  probe: Awaited<ReturnType<typeof createProbe>>
  meter: Meter
  /** the newest lines of the log of the service */
  log: string[]
}

// The service handles all received messages of a socket before closing it, so connections may stay open for a while.
const limits = { beforeMs: 4000, closeMs: 10_000, pollMs: 250 }
const measurements = ['push', 'read', 'delivery'] as const

export type AttackResult = Awaited<ReturnType<typeof measureAttack>>

/**
 * Prepares one attack, measures the latencies of the probe before and during it, and waits until the service is idle.
 */
export async function measureAttack(environment: AttackEnvironment, name: string, seconds: number) {
  const { url, databaseUrl, sql, probe, meter, log } = environment
  const connectionsBefore = await meter.connections()
  const attacker = await startAttacker({ name, url, databaseUrl, seconds })
  await meter.waitUntilIdle()
  const before = await probe.measure(Math.min(limits.beforeMs, seconds * 1000))

  const head = await readHead(sql)
  log.length = 0
  const stopWatching = meter.watch()
  const cpuBefore = await meter.cpuSeconds()
  const measuring = probe.measure(seconds * 1000)
  const report = await attacker.run()
  const cpu = await meter.cpuSeconds()
  const during = await measuring
  const { memoryMb, delayMs } = await stopWatching()
  const idleAfterSeconds = await meter.waitUntilIdle()
  const connectionsLeft = (await waitForConnections(meter, connectionsBefore)) - connectionsBefore
  const written = await countWritten(sql, head, probe.userId)

  return {
    name,
    description: attacks[name]?.description ?? '',
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
    idleAfterSeconds,
    connectionsLeft,
    before,
    during,
    faults: countFaults(log),
    misses: [
      ...missesOf(attacks[name], before, during),
      ...Object.keys(report.responses)
        .filter(isFault)
        .map(response => `a response was ${response}`),
      ...(connectionsLeft > 0 ? [`${connectionsLeft} connections stayed open`] : [])
    ]
  }
}

function missesOf(attack: Attack | undefined, before: Latencies, during: Latencies): string[] {
  return measurements
    .filter(name => !attack?.delays?.includes(name))
    .flatMap(name => findMisses(before[name], during[name]).map(miss => `${name}: ${miss}`))
}

/** Returns whether a response is a fault of the service: a 5xx other than 503. */
function isFault(response: string): boolean {
  return (
    (response.startsWith('status 5') && response !== 'status 503') || response === 'error INTERNAL'
  )
}

/** Returns the number of logged errors by message and code. */
function countFaults(log: string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const line of log) {
    const { msg, err, fault } = JSON.parse(line)
    const name = [msg, err?.code ?? err?.message, fault].filter(Boolean).join(': ')
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

/** Waits until no more connections are open than before, at most 10 s. Returns the number of open connections. */
async function waitForConnections(meter: Meter, before: number): Promise<number> {
  const start = performance.now()
  for (;;) {
    const now = await meter.connections()
    if (now <= before || performance.now() - start > limits.closeMs) return now
    await delay(limits.pollMs)
  }
}

async function readHead(sql: Sql): Promise<number> {
  const [{ pos }] = await sql<[{ pos: number }]>`
    select coalesce(max(pos), 0)::float8 as pos
    from events`
  return pos
}

/** Returns the number and the bytes of the events after `pos` that the probe has not written. */
async function countWritten(sql: Sql, pos: number, probeId: string) {
  const [{ events, bytes }] = await sql<[{ events: number; bytes: number }]>`
    select
      count(*)::float8 as events,
      coalesce(sum(octet_length(concat(before::text, after::text))), 0)::float8 as bytes
    from events
    where pos > ${pos}
    and actor_id is distinct from ${probeId}`
  return { eventsWritten: events, bytesWritten: bytes }
}
