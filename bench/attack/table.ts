import type { Figures } from './figures.ts'
import type { AttackResult } from './measure.ts'

/** Returns the cost of an attack as a row of a table. */
export function costsRow({
  requests,
  bytesSent,
  bytesWritten,
  amplification,
  ...result
}: AttackResult) {
  const { service, postgres, attacker } = result.cpu
  return {
    requests,
    'sent KB': Math.round(bytesSent / 1000),
    'logged KB': Math.round(bytesWritten / 1000),
    amplification: Number(amplification.toFixed(2)),
    'CPU s service': Number(service.toFixed(1)),
    PostgreSQL: Number(postgres.toFixed(1)),
    attacker: Number(attacker.toFixed(1)),
    'loop ms': Math.round(result.delayMs),
    'peak MB': Math.round(result.memoryMb),
    'idle after s': Number(result.idleAfterSeconds.toFixed(1)),
    'left open': result.connectionsLeft
  }
}

/** Returns the latencies of the probe as a row of a table. */
export function probeRow({ before, during, misses }: AttackResult) {
  return {
    push: compare(before.push, during.push),
    read: compare(before.read, during.read),
    delivery: compare(before.delivery, during.delivery),
    target: misses.length === 0 ? 'met' : 'missed'
  }
}

/** Returns the kinds of responses that the attacker received, with their counts, the most frequent first. */
export function responsesLine({ responses }: AttackResult): string {
  return Object.entries(responses)
    .sort(([, a], [, b]) => b - a)
    .map(([response, count]) => `${count} × ${response}`)
    .join(', ')
}

function compare(before: Figures, during: Figures): string {
  const ratio = during.p99 / before.p99
  return `${triple(before)} → ${triple(during)} ×${ratio.toFixed(1)}`
}

const triple = ({ p50, p99, max }: Figures) => [p50, p99, max].map(Math.round).join('/')
