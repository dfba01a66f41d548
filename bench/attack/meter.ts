import { setTimeout as delay } from 'node:timers/promises'
import { readMetrics } from '../support/client.ts'
import { readProcesses, treeSeconds } from '../support/cpu.ts'
import { readPostmasterPid } from '../support/database.ts'
import { sum } from '../support/statistics.ts'

const limits = { sampleMs: 500, idleShare: 0.15, idleTimeoutMs: 15_000 }

export type Meter = ReturnType<typeof createMeter>

/** Measures the service through its /metrics, and PostgreSQL through /proc (Linux only). */
export function createMeter({ url, folder }: { url: string; folder: string }) {
  return { cpuSeconds, connections, watch, waitUntilIdle }

  /** Returns the CPU seconds that the service and PostgreSQL have used so far; NaN for PostgreSQL without /proc. */
  async function cpuSeconds() {
    const { process_cpu_seconds_total: service = 0 } = await readMetrics(url)
    const processes = await readProcesses()
    const postmaster = await readPostmasterPid(folder)
    return { service, postgres: processes.size ? treeSeconds(processes, postmaster) : Number.NaN }
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
