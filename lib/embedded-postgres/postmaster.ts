import { execFile } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** Returns the port of the postmaster on `data`, or undefined. Throws an error NOT_STARTED while it is starting. */
export async function findPostmasterPort(data: string): Promise<number | undefined> {
  const { pid, port } = await readPidFile(data)
  if (!pid || !(await isPostmaster(pid, data))) return
  if (port) return port
  throw Object.assign(new Error(`PostgreSQL in ${data} is still starting`), { code: 'NOT_STARTED' })
}

/** Returns whether the postmaster on `data` accepts connections at `port`. Another one may run at another port. */
export async function isReady(data: string, port: number): Promise<boolean> {
  const file = await readPidFile(data)
  return file.status === 'ready' && file.port === port && isAlive(file.pid)
}

/**
 * Deletes the `postmaster.pid` of an ended postmaster whose process id another process has now, because PostgreSQL
 * would mistake that process for a postmaster. In a container, where each start assigns the same ids, it would never
 * start.
 */
export async function deleteStalePidFile(data: string): Promise<void> {
  const { file, pid } = await readPidFile(data)
  if (pid && isAlive(pid) && !(await isPostmaster(pid, data))) await rm(file, { force: true })
}

/** Returns whether a process has this id. The process may belong to another user. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function readPidFile(data: string) {
  const file = join(data, 'postmaster.pid')
  const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n')
  return { file, pid: Number(lines[0]), port: Number(lines[3]), status: lines[7]?.trim() }
}

async function isPostmaster(pid: number, data: string): Promise<boolean> {
  if (!isAlive(pid)) return false
  const command = await readCommand(pid)
  // The command contains a relative folder when a user started PostgreSQL by hand.
  return /^\S*postgres\b/.test(command) && (command.includes(data) || !command.includes(' -D /'))
}

async function readCommand(pid: number): Promise<string> {
  // Small containers have no `ps`, and macOS has no `/proc`.
  const proc = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined)
  if (proc !== undefined) return proc.replaceAll('\0', ' ')
  const ps = await execute('ps', ['-p', String(pid), '-o', 'command=']).catch(() => undefined)
  return ps?.stdout ?? ''
}
