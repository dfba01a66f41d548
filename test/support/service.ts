import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { findPostmasterPort } from '../../lib/embedded-postgres/postmaster.ts'
import { startPostgres } from '../../lib/embedded-postgres/server.ts'
import { until } from './app.ts'

const root = join(import.meta.dirname, '../..')

/** A real process of the service, whose output is kept. */
export interface Service {
  child: ChildProcess
  output: { stdout: string; stderr: string }
  exited: Promise<[number | null, NodeJS.Signals | null]>
}

/** Starts `server.ts`, or another script, with nothing of our environment but `env`. */
export function serve(
  t: Test,
  env: NodeJS.ProcessEnv,
  script = 'server.ts',
  args: string[] = []
): Service {
  const { PATH, NODE_OPTIONS, NODE_V8_COVERAGE } = process.env
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => name.startsWith('_TAPJS'))
  )
  const child = spawn(process.execPath, [join(root, script), ...args], {
    cwd: env.DATA_DIR ?? tmpdir(),
    env: {
      PATH,
      NODE_OPTIONS,
      NODE_V8_COVERAGE,
      ...inherited,
      PORT: '0',
      LOG_LEVEL: 'warn',
      ...env
    }
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', chunk => {
    output.stdout += chunk
  })
  child.stderr.on('data', chunk => {
    output.stderr += chunk
  })
  t.teardown(() => child.kill('SIGKILL'))
  return { child, output, exited: once(child, 'close') as Service['exited'] }
}

/** A start may make a database first, on a machine that has other things to do. */
export const START_MS = 60_000

/** Waits for the three lines of the start, and answers them and the address. */
export async function started({ child, output }: Service) {
  const lines = /^Concord +(http:\S+)\nAPI docs +.+\nDatabase +.+\n/m
  await until(() => child.exitCode !== null || lines.test(output.stdout), START_MS)
  const [text, address] = lines.exec(output.stdout) ?? []
  if (!text || !address) throw new Error(`it did not start: ${output.stderr}`)
  return { text, address, port: Number(new URL(address).port) }
}

/** A DATA_DIR of its own that the user postgres can reach; its database is stopped at the end. */
export async function dataDir(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'concord-data-'))
  await chmod(folder, 0o755)
  t.teardown(async () => {
    const isRunning = (await findPostmasterPort(join(folder, 'postgres'))) !== undefined
    if (isRunning) await startPostgres(folder).then(postgres => postgres.stop())
    await rm(folder, { recursive: true })
  })
  return folder
}
