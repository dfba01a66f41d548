import { randomUUID } from 'node:crypto'
import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { startService } from './service.ts'

/*
 * Do other routes answer while 1,000 guesses come in at once? Asks for GET /users/me at a steady pace
 * before and during the flood.
 *
 * node bench/flood.ts [guesses = 1000]
 */
const guesses = Number(process.argv[2] ?? 1000)
const pace = { everyMs: 10, beforeMs: 5000 }
const account = { email: 'ann@example.com', password: 'correct horse battery staple' }

const { url, stop } = await startService()
const flooders = new Agent({ keepAlive: true, maxSockets: guesses })
const visitors = new Agent({ keepAlive: true })

try {
  await send('POST', '/auth/signup', { body: { ...account, name: 'Ann' } })
  const { body } = await send('POST', '/auth/signin', { body: account })
  const headers = { authorization: `Bearer ${body.accessToken}` }

  const before = await visit(headers, sleep(pace.beforeMs))
  const start = performance.now()
  const flood = Promise.all(Array.from({ length: guesses }, guess))
  const during = await visit(headers, flood)
  const seconds = (performance.now() - start) / 1000
  const refused = (await flood).filter(status => status === 503).length

  console.log(`${guesses} guesses answered within ${seconds.toFixed(1)} s, ${refused} of them 503`)
  console.table({ before: summary(before), during: summary(during) })
} finally {
  flooders.destroy()
  visitors.destroy()
  await stop()
}

async function guess(): Promise<number> {
  const body = { email: `${randomUUID()}@example.com`, password: 'a guess' }
  const { status } = await send('POST', '/auth/signin', { body, agent: flooders })
  if (status !== 401 && status !== 503) throw new Error(`signing in answers ${status}`)
  return status
}

/** Milliseconds of each GET /users/me, asked for at a steady pace whether or not the last is back. */
async function visit(headers: Record<string, string>, end: Promise<unknown>): Promise<number[]> {
  let isOver = false
  end.finally(() => {
    isOver = true
  })
  const visits: Promise<number>[] = []
  while (!isOver) {
    visits.push(timed(headers))
    await sleep(pace.everyMs)
  }
  return Promise.all(visits)
}

async function timed(headers: Record<string, string>): Promise<number> {
  const start = performance.now()
  const { status } = await send('GET', '/users/me', { headers, agent: visitors })
  if (status !== 200) throw new Error(`/users/me answers ${status}`)
  return performance.now() - start
}

function summary(durations: number[]) {
  const sorted = durations.toSorted((a, b) => a - b)
  const at = (share: number) => Number(sorted[Math.floor(sorted.length * share)]?.toFixed(1))
  return {
    requests: sorted.length,
    'p50 ms': at(0.5),
    'p99 ms': at(0.99),
    'max ms': Number(sorted.at(-1)?.toFixed(1))
  }
}

interface Sent {
  body?: object
  headers?: Record<string, string>
  agent?: Agent
}

function send(method: string, path: string, { body, headers, agent }: Sent) {
  return new Promise<{ status: number; body: { accessToken?: string } }>((resolve, reject) => {
    const sent = request(url + path, {
      method,
      agent,
      headers: { ...headers, ...(body && { 'content-type': 'application/json' }) }
    })
    sent.on('error', reject).on('response', async response => {
      let text = ''
      for await (const chunk of response) text += chunk
      resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) })
    })
    sent.end(body && JSON.stringify(body))
  })
}
