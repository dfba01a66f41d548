import type { Figures } from './figures.ts'
import type { Round } from './round.ts'

/** Returns what an attack has cost, as a row of a table. */
export function costsRow({ requests, bytesSent, bytesWritten, amplification, ...round }: Round) {
  const { service, postgres, attacker } = round.cpu
  return {
    requests,
    'sent KB': Math.round(bytesSent / 1000),
    'logged KB': Math.round(bytesWritten / 1000),
    amplification: Number(amplification.toFixed(2)),
    'CPU s service': Number(service.toFixed(1)),
    PostgreSQL: Number(postgres.toFixed(1)),
    attacker: Number(attacker.toFixed(1)),
    'loop ms': Math.round(round.delayMs),
    'peak MB': Math.round(round.memoryMb),
    'calm after s': Number(round.calmSeconds.toFixed(1)),
    'left open': round.connectionsLeft
  }
}

/** Returns what a bystander noticed of an attack, as a row of a table. */
export function bystanderRow({ quiet, attacked, misses }: Round) {
  return {
    push: compared(quiet.push, attacked.push),
    read: compared(quiet.read, attacked.read),
    delivery: compared(quiet.delivery, attacked.delivery),
    aim: misses.length === 0 ? 'met' : 'missed'
  }
}

/** Returns the answers that an attacker received, the most frequent first. */
export function answersLine({ answers }: Round): string {
  return Object.entries(answers)
    .sort(([, a], [, b]) => b - a)
    .map(([answer, count]) => `${count} × ${answer}`)
    .join(', ')
}

function compared(quiet: Figures, attacked: Figures): string {
  const ratio = attacked.p99 / quiet.p99
  return `${triple(quiet)} → ${triple(attacked)} ×${ratio.toFixed(1)}`
}

const triple = ({ p50, p99, worst }: Figures) => [p50, p99, worst].map(Math.round).join('/')
