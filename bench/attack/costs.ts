import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const limits = { sampleMs: 500, calmShare: 0.15, calmMs: 15_000 }

export type Meter = ReturnType<typeof createMeter>

/** Reads what the service and its database use: the service from its /metrics, PostgreSQL from /proc (Linux only). */
export function createMeter({ url, folder }: { url: string; folder: string }) {
  return { cpu, connections, watch, calmed }

  /** Returns CPU seconds since the start; NaN for PostgreSQL where there is no /proc. */
  async function cpu() {
    const { process_cpu_seconds_total: service = 0 } = await metrics()
    return { service, postgres: await cpuOfPostgres(folder) }
  }

  /** Returns how many streams and sockets are open. */
  async function connections(): Promise<number> {
    const open = Object.entries(await metrics())
    return open
      .filter(([name]) => /^concord_(streams|sockets)\b/.test(name))
      .reduce((sum, [, count]) => sum + count, 0)
  }

  /**
   * Watches until the function that it returns is called, which returns the most memory in MB and the longest delay of
   * the event loop in milliseconds.
   */
  function watch() {
    let isOver = false
    const most = { memoryMb: 0, delayMs: 0 }
    const watching = look()
    return async () => {
      isOver = true
      await watching
      return most
    }

    // Every reading of /metrics begins the maximum anew.
    async function look() {
      await metrics()
      while (!isOver) {
        await sleep(limits.sampleMs)
        const { process_resident_memory_bytes: bytes = 0, ...now } = await metrics()
        most.memoryMb = Math.max(most.memoryMb, bytes / 1e6)
        most.delayMs = Math.max(
          most.delayMs,
          (now.nodejs_eventloop_lag_max_seconds ?? Number.NaN) * 1000
        )
      }
    }
  }

  /** Resolves with the seconds until service and database do next to nothing, which are at most 15. */
  async function calmed(): Promise<number> {
    const start = performance.now()
    let before = await cpu()
    for (;;) {
      await sleep(limits.sampleMs)
      const now = await cpu()
      const used = now.service - before.service + (now.postgres - before.postgres || 0)
      before = now
      const passedMs = performance.now() - start
      const isCalm = used < (limits.calmShare * limits.sampleMs) / 1000
      if (isCalm || passedMs > limits.calmMs) return passedMs / 1000
    }
  }

  async function metrics(): Promise<Record<string, number>> {
    const text = await (await fetch(`${url}/metrics`)).text()
    const lines = text.matchAll(/^([a-z_]+(?:\{[^}]*\})?) ([\d.e+-]+)$/gm)
    return Object.fromEntries([...lines].map(([, name, value]) => [name, Number(value)]))
  }
}

/** Returns the CPU seconds of a postmaster and of all its processes, past and present. */
async function cpuOfPostgres(folder: string): Promise<number> {
  const file = await readFile(join(folder, 'postgres', 'postmaster.pid'), 'utf8')
  const postmaster = Number.parseInt(file, 10)
  const pids = (await readdir('/proc').catch(() => [])).map(Number).filter(Boolean)
  if (pids.length === 0) return Number.NaN
  const all = await Promise.all(pids.map(statOf))
  return all.reduce((sum, { pid, parent, own, ended }) => {
    if (pid === postmaster) return sum + own + ended
    return parent === postmaster ? sum + own : sum
  }, 0)
}

/** Returns the parent of a process, its CPU seconds, and those of its children that have ended (proc_pid_stat(5)). */
async function statOf(pid: number) {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The name in parentheses may hold anything. Times are in ticks of 1/100 s.
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const [parent, user = 0, system = 0, endedUser = 0, endedSystem = 0] = [
    fields[1],
    ...fields.slice(11, 15)
  ]
  return { pid, parent, own: (user + system) / 100, ended: (endedUser + endedSystem) / 100 }
}
