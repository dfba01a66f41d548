import { execFile } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/**
 * The port of the postmaster that runs on `data`, if one does.
 * A `postmaster.pid` whose number a stranger's process bears by now is removed: PostgreSQL itself
 * would take it for a running postmaster and refuse to start, for good in a container.
 */
export async function postmasterOf(data: string): Promise<number | undefined> {
  const file = join(data, 'postmaster.pid')
  const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n')
  const [pid, port] = [Number(lines[0]), Number(lines[3])]
  if (!pid || !isAlive(pid)) return
  if (!servesFrom(data, await commandOf(pid))) {
    await rm(file, { force: true })
    return
  }
  if (port) return port
  throw Object.assign(new Error(`PostgreSQL in ${data} is still starting`), { code: 'NOT_STARTED' })
}

function servesFrom(data: string, command: string): boolean {
  const isPostgres = /^\S*postgres\b/.test(command)
  // Started by hand, its folder may be relative.
  return isPostgres && (command.includes(data) || !command.includes(' -D /'))
}

/** Whether a process has this number; one of another user counts. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function commandOf(pid: number): Promise<string> {
  // Bare containers have no ps, and macOS has no /proc.
  const proc = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined)
  if (proc !== undefined) return proc.replaceAll('\0', ' ')
  const ps = await execute('ps', ['-p', String(pid), '-o', 'command=']).catch(() => undefined)
  return ps?.stdout ?? ''
}
