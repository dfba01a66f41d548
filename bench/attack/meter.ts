import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { readMetrics } from '../support/client.ts'
import { sum } from '../support/statistics.ts'

const limits = { sampleMs: 500, idleShare: 0.15, idleTimeoutMs: 15_000 }

export type Meter = ReturnType<typeof createMeter>

/** Measures the service through its /metrics, and PostgreSQL through /proc (Linux only). */
export function createMeter({ url, folder }: { url: string; folder: string }) {
  return { cpuSeconds, connections, watch, waitUntilIdle }

  /** Returns the CPU seconds that the service and PostgreSQL have used so far; NaN for PostgreSQL without /proc. */
  async function cpuSeconds() {
    const { process_cpu_seconds_total: service = 0 } = await readMetrics(url)
    return { service, postgres: await cpuSecondsOfPostgres(folder) }
  }

  /** Returns the number of open streams and sockets. */
  async function connections(): Promise<number> {
    const metrics = Object.entries(await readMetrics(url))
    const open = metrics.filter(([name]) => /^concord_(streams|sockets)\b/.test(name))
    return sum(open.map(([, count]) => count))
  }

  /**
   * Samples the memory and the event loop of the service until the returned function is called, which returns the
   * maximum memory in MB and the maximum delay of the event loop in milliseconds.
   */
  function watch() {
    let isOver = false
    const max = { memoryMb: 0, delayMs: 0 }
    const sampling = sample()
    return async () => {
      isOver = true
      await sampling
      return max
    }

    // Every GET /metrics resets the maximum delay, so the first one only starts the measurement.
    async function sample() {
      await readMetrics(url)
      while (!isOver) {
        await delay(limits.sampleMs)
        const { process_resident_memory_bytes: bytes = 0, ...now } = await readMetrics(url)
        max.memoryMb = Math.max(max.memoryMb, bytes / 1e6)
        max.delayMs = Math.max(
          max.delayMs,
          (now.nodejs_eventloop_lag_max_seconds ?? Number.NaN) * 1000
        )
      }
    }
  }

  /** Waits until service and database use almost no CPU time, at most 15 s. Returns the seconds that passed. */
  async function waitUntilIdle(): Promise<number> {
    const start = performance.now()
    let before = await cpuSeconds()
    for (;;) {
      await delay(limits.sampleMs)
      const now = await cpuSeconds()
      const used = now.service - before.service + (now.postgres - before.postgres || 0)
      before = now
      const passedMs = performance.now() - start
      const isIdle = used < (limits.idleShare * limits.sampleMs) / 1000
      if (isIdle || passedMs > limits.idleTimeoutMs) return passedMs / 1000
    }
  }
}

/** Returns the CPU seconds of a postmaster and all its child processes, including those that have exited. */
async function cpuSecondsOfPostgres(folder: string): Promise<number> {
  const file = await readFile(join(folder, 'postgres', 'postmaster.pid'), 'utf8')
  const postmaster = Number.parseInt(file, 10)
  const pids = (await readdir('/proc').catch(() => [])).map(Number).filter(Boolean)
  if (pids.length === 0) return Number.NaN
  const all = await Promise.all(pids.map(readProcStat))
  return all.reduce((sum, { pid, parent, own, exited }) => {
    if (pid === postmaster) return sum + own + exited
    return parent === postmaster ? sum + own : sum
  }, 0)
}

/** Returns the parent of a process, its CPU seconds, and those of its children that have exited (proc_pid_stat(5)). */
async function readProcStat(pid: number) {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The name of the process, in parentheses, may contain any character. Times are in ticks of 1/100 s.
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const [parent, user = 0, system = 0, exitedUser = 0, exitedSystem = 0] = [
    fields[1],
    ...fields.slice(11, 15)
  ]
  return { pid, parent, own: (user + system) / 100, exited: (exitedUser + exitedSystem) / 100 }
}
