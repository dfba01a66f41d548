import { randomUUID } from 'node:crypto'
import { registerUser } from './support/client.ts'
import { startService } from './support/service.ts'
import { percentile, round } from './support/statistics.ts'

/*
 * Measures whether the duration of a rejected sign-in shows that the account exists: compares attempts with a known and
 * an unknown email. The figure is the area under the ROC curve (AUC): the probability that an attempt of one kind takes
 * longer than one of the other. 0.5 means that the duration shows nothing, 1 that it always shows the kind.
 *
 * node bench/timing.ts [attempts = 2000]
 */
const attempts = Number(process.argv[2] ?? 2000)

/** Credentials of the rejected sign-ins; `email` is that of an existing account. */
const kinds = {
  unknown: () => ({ email: `${randomUUID()}@example.com`, password: 'a wrong password' }),
  wrong: (email: string) => ({ email, password: 'a wrong password' }),
  empty: (email: string) => ({ email, password: '' }),
  'empty, unknown': () => ({ email: `${randomUUID()}@example.com`, password: '' }),
  overlong: (email: string) => ({ email, password: 'x'.repeat(2000) }),
  'overlong, unknown': () => ({ email: `${randomUUID()}@example.com`, password: 'x'.repeat(2000) })
}
const pairs = [
  ['unknown', 'wrong'],
  ['empty, unknown', 'empty'],
  ['overlong, unknown', 'overlong']
] as const

const { url, stop } = await startService()
try {
  const { email } = await registerUser(url)
  for (let n = 0; n < 100; n++) await attempt(kinds.wrong(email)) // warm-up

  const durations = new Map(Object.keys(kinds).map(kind => [kind, [] as number[]]))
  const statuses = new Map<string, Set<number>>()
  const names = Object.keys(kinds) as (keyof typeof kinds)[]
  for (let count = 0; count < attempts; count++) {
    // The order is random, so that periodic work of the machine affects all kinds alike.
    const kind = names[Math.floor(Math.random() * names.length)] as keyof typeof kinds
    const { ms, status } = await attempt(kinds[kind](email))
    durations.get(kind)?.push(ms)
    statuses.set(kind, (statuses.get(kind) ?? new Set()).add(status))
  }

  console.table(
    Object.fromEntries(
      [...durations].map(([kind, all]) => [
        kind,
        {
          attempts: all.length,
          status: [...(statuses.get(kind) ?? [])].join(),
          'median ms': round(percentile(all, 0.5), 2)
        }
      ])
    )
  )
  for (const [one, other] of pairs) {
    const area = auc(durations.get(one) ?? [], durations.get(other) ?? [])
    console.log(`AUC of ${one} and ${other}: ${area.toFixed(3)}`)
  }
} finally {
  await stop()
}

async function attempt(credentials: object) {
  const body = JSON.stringify(credentials)
  const headers = { 'content-type': 'application/json' }
  const start = performance.now()
  const response = await fetch(`${url}/auth/signin`, { method: 'POST', headers, body })
  await response.text()
  return { ms: performance.now() - start, status: response.status }
}

/** Returns the AUC of the better classifier, "longer" or "shorter": Mann and Whitney's U divided by its maximum. */
function auc(a: number[], b: number[]): number {
  let u = 0
  for (const x of a) for (const y of b) u += x > y ? 1 : x === y ? 0.5 : 0
  const area = u / (a.length * b.length)
  return Math.max(area, 1 - area)
}
