import { spawn, spawnSync } from 'node:child_process'
import { text } from 'node:stream/consumers'
import autocannon from 'autocannon'
import type { Headers } from './client.ts'

/** Requests that some connections send for some seconds, each after the response to the one before. */
export interface HttpLoad {
  url: string
  connections: number
  seconds: number
  headers?: Headers
  /** the requests that a connection sends in turn; without them, it sends GET to `url` */
  requests?: autocannon.Request[]
}

/** Returns the number of responses and their latency. Throws when one is not 2xx. Uses wrk when it is installed. */
export async function loadHttp(load: HttpLoad) {
  return load.requests || !hasWrk() ? loadByAutocannon(load) : loadByWrk(load)
}

/** Sends requests from a worker thread. */
async function loadByAutocannon({ seconds, ...load }: HttpLoad) {
  const result = await autocannon({ ...load, duration: seconds, workers: 1 })
  const { '2xx': count, non2xx, errors, latency } = result
  if (non2xx + errors > 0) throw new Error(`${load.url}: ${non2xx} non-2xx, ${errors} errors`)
  return { count, 'p50 ms': latency.p50, 'p99 ms': latency.p99 }
}

async function loadByWrk({ url, connections, seconds, headers = {} }: HttpLoad) {
  const options = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency']
  const lines = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const { stdout } = spawn('wrk', [...options, ...lines, url], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const output = await text(stdout)
  if (/Non-2xx|Socket errors/.test(output)) throw new Error(`${url}: ${output}`)
  return {
    count: Number(/(\d+) requests in/.exec(output)?.[1]),
    'p50 ms': toMs(/50%\s+([\d.]+)(\ws?)/.exec(output)),
    'p99 ms': toMs(/99%\s+([\d.]+)(\ws?)/.exec(output))
  }
}

function toMs(match: RegExpExecArray | null): number {
  const [, value = '', unit = ''] = match ?? []
  return Number(value) * ({ us: 0.001, ms: 1, s: 1000 }[unit] ?? Number.NaN)
}

function hasWrk(): boolean {
  return spawnSync('sh', ['-c', 'command -v wrk']).status === 0
}
