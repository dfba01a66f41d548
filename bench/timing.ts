import { randomUUID } from 'node:crypto'
import { startService } from './service.ts'

/*
 * Does the time that a refused sign-in takes tell whether the account exists? Attempts of every kind are
 * interleaved on one connection. The figure is the area under the ROC curve: the chance that an attempt of
 * one kind takes longer than one of the other, 0.5 when time tells nothing, 1 when it tells everything.
 *
 * node bench/timing.ts [attempts = 2000]
 */
const attempts = Number(process.argv[2] ?? 2000)
const account = { email: 'ann@example.com', password: 'correct horse battery staple' }

const kinds = {
  unknown: () => ({ email: `${randomUUID()}@example.com`, password: 'a wrong password' }),
  wrong: () => ({ email: account.email, password: 'a wrong password' }),
  empty: () => ({ email: account.email, password: '' }),
  'empty, unknown': () => ({ email: `${randomUUID()}@example.com`, password: '' }),
  overlong: () => ({ email: account.email, password: 'x'.repeat(2000) }),
  'overlong, unknown': () => ({ email: `${randomUUID()}@example.com`, password: 'x'.repeat(2000) })
}
const pairs = [
  ['unknown', 'wrong'],
  ['empty, unknown', 'empty'],
  ['overlong, unknown', 'overlong']
] as const

const { url, stop } = await startService()
try {
  await post('/auth/signup', { ...account, name: 'Ann' })
  for (let warming = 0; warming < 100; warming++) await attempt(kinds.wrong())

  const taken = new Map(Object.keys(kinds).map(kind => [kind, [] as number[]]))
  const answers = new Map<string, Set<number>>()
  const names = Object.keys(kinds) as (keyof typeof kinds)[]
  for (let count = 0; count < attempts; count++) {
    // In random order: a rhythm of the machine must not fall on one of them.
    const kind = names[Math.floor(Math.random() * names.length)] as keyof typeof kinds
    const { ms, status } = await attempt(kinds[kind]())
    taken.get(kind)?.push(ms)
    answers.set(kind, (answers.get(kind) ?? new Set()).add(status))
  }

  console.table(
    Object.fromEntries(
      [...taken].map(([kind, all]) => [
        kind,
        {
          attempts: all.length,
          status: [...(answers.get(kind) ?? [])].join(),
          'median ms': median(all)
        }
      ])
    )
  )
  for (const [one, other] of pairs) {
    const area = auc(taken.get(one) ?? [], taken.get(other) ?? [])
    console.log(`AUC of ${one} against ${other}: ${area.toFixed(3)}`)
  }
} finally {
  await stop()
}

async function attempt(credentials: object) {
  const body = JSON.stringify(credentials)
  const start = performance.now()
  const { status } = await post('/auth/signin', body)
  return { ms: performance.now() - start, status }
}

async function post(path: string, body: string | object) {
  const response = await fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body)
  })
  await response.text()
  return response
}

function median(all: number[]): number {
  return Number(all.toSorted((a, b) => a - b)[all.length >> 1]?.toFixed(2))
}

/** Of the better of the two thresholds, "longer" and "shorter" (Mann and Whitney's U over its greatest). */
function auc(ones: number[], others: number[]): number {
  let wins = 0
  for (const one of ones)
    for (const other of others) wins += one > other ? 1 : one === other ? 0.5 : 0
  const area = wins / (ones.length * others.length)
  return Math.max(area, 1 - area)
}
