import { readdir, readFile } from 'node:fs/promises'

/** A process as /proc/PID/stat describes it, with CPU seconds. */
interface Process {
  pid: number
  parent: number
  own: number
  /** CPU seconds of its child processes that have exited */
  exited: number
}

/** CPU seconds of all processes of the machine at one time. */
export type Processes = Map<number, Process>

/** Returns all processes. Linux only: elsewhere the map is empty. */
export async function readProcesses(): Promise<Processes> {
  const names = await readdir('/proc').catch(() => [])
  const all = await Promise.all(names.filter(name => /^\d+$/.test(name)).map(readProcess))
  return new Map(all.filter(found => found !== undefined).map(found => [found.pid, found]))
}

/** Returns the CPU seconds of a process and all its descendants, including those that have exited. */
export function treeSeconds(processes: Processes, root: number): number {
  const { own = 0, exited = 0 } = processes.get(root) ?? {}
  const children = [...processes.values()].filter(({ parent }) => parent === root)
  return children.reduce((sum, { pid }) => sum + treeSeconds(processes, pid), own + exited)
}

/**
 * Returns the CPU seconds of the machine since its start, without the time of interrupts: those of the loopback network
 * belong to no process.
 */
export async function readBusySeconds(): Promise<number> {
  const text = await readFile('/proc/stat', 'utf8').catch(() => '')
  const [user = 0, nice = 0, system = 0] = text.split(/\s+/).slice(1).map(Number)
  return (user + nice + system) / 100
}

/** Returns the memory of a process in bytes (resident set). */
export async function readMemory(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]) * 1024
}

// The name of the process, in parentheses, may contain any character. Times are in ticks of 1/100 s.
async function readProcess(name: string): Promise<Process | undefined> {
  const text = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => undefined)
  if (text === undefined) return
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const [user = 0, system = 0, exitedUser = 0, exitedSystem = 0] = fields.slice(11, 15)
  return {
    pid: Number(name),
    parent: fields[1] ?? 0,
    own: (user + system) / 100,
    exited: (exitedUser + exitedSystem) / 100
  }
}
