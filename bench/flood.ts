import { randomUUID } from 'node:crypto'
import { Agent, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { type Headers, registerUser } from './support/client.ts'
import { startService } from './support/service.ts'
import { percentile, round } from './support/statistics.ts'

/*
 * Measures how long GET /users/me takes while 1,000 sign-ins with wrong passwords are sent at once. Compares it with
 * the five seconds before. The requests are sent at a constant rate, whether or not earlier ones have a response.
 *
 * node bench/flood.ts [sign-ins = 1000]
 */
const signIns = Number(process.argv[2] ?? 1000)
const interval = { requestMs: 10, beforeMs: 5000 }

const { url, stop } = await startService()
const attackers = new Agent({ keepAlive: true, maxSockets: signIns })
const users = new Agent({ keepAlive: true })

try {
  const { headers } = await registerUser(url)
  const before = await measureReads(headers, delay(interval.beforeMs))
  const start = performance.now()
  const flood = Promise.all(Array.from({ length: signIns }, signIn))
  const during = await measureReads(headers, flood)
  const seconds = (performance.now() - start) / 1000
  const rejected = (await flood).filter(status => status === 503).length

  console.log(`${signIns} sign-ins took ${seconds.toFixed(1)} s; ${rejected} of them returned 503`)
  console.table({ 'before the flood': summary(before), 'during the flood': summary(during) })
} finally {
  attackers.destroy()
  users.destroy()
  await stop()
}

async function signIn(): Promise<number> {
  const body = { email: `${randomUUID()}@example.com`, password: 'a guess' }
  const status = await send('POST', '/auth/signin', { body, agent: attackers })
  if (status !== 401 && status !== 503) throw new Error(`the sign-in returned ${status}`)
  return status
}

/** Sends GET /users/me at a constant rate until `end` resolves. Returns the latencies in milliseconds. */
async function measureReads(headers: Headers, end: Promise<unknown>): Promise<number[]> {
  let isOver = false
  end.finally(() => {
    isOver = true
  })
  const reads: Promise<number>[] = []
  while (!isOver) {
    reads.push(measureRead(headers))
    await delay(interval.requestMs)
  }
  return Promise.all(reads)
}

async function measureRead(headers: Headers): Promise<number> {
  const start = performance.now()
  const status = await send('GET', '/users/me', { headers, agent: users })
  if (status !== 200) throw new Error(`/users/me returned ${status}`)
  return performance.now() - start
}

function summary(latencies: number[]) {
  return {
    requests: latencies.length,
    'p50 ms': round(percentile(latencies, 0.5), 1),
    'p99 ms': round(percentile(latencies, 0.99), 1),
    'max ms': round(Math.max(...latencies), 1)
  }
}

/** Sends a request and returns its status after the whole response has been received. */
function send(
  method: string,
  path: string,
  { body, headers, agent }: { body?: object; headers?: Headers; agent: Agent }
) {
  return new Promise<number>((resolve, reject) => {
    const sent = request(url + path, {
      method,
      agent,
      headers: { ...headers, ...(body && { 'content-type': 'application/json' }) }
    })
    sent.on('error', reject).on('response', async response => {
      for await (const _ of response) {
        // Discards the body.
      }
      resolve(response.statusCode ?? 0)
    })
    sent.end(body && JSON.stringify(body))
  })
}
