import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { findPostmasterPort } from '../../lib/embedded-postgres/postmaster.ts'
import { startPostgres } from '../../lib/embedded-postgres/server.ts'
import { until } from './until.ts'

const root = join(import.meta.dirname, '../..')

/** A process of the service and its output so far. */
export interface ServiceProcess {
  child: ChildProcess
  output: { stdout: string; stderr: string }
  exited: Promise<[number | null, NodeJS.Signals | null]>
}

/** Starts `server.ts`, or another script, with `env` instead of the environment of this process. */
export function spawnService(
  t: Test,
  env: NodeJS.ProcessEnv,
  script = 'server.ts',
  args: string[] = []
): ServiceProcess {
  const { PATH } = process.env
  const requirements = ['--import', join(root, 'lib/requirements.js')]
  const child = spawn(process.execPath, [...requirements, join(root, script), ...args], {
    cwd: env.DATA_DIR ?? tmpdir(),
    env: { PATH, PORT: '0', LOG_LEVEL: 'warn', WEB: 'off', ...env }
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', chunk => {
    output.stdout += chunk
  })
  child.stderr.on('data', chunk => {
    output.stderr += chunk
  })
  t.teardown(() => child.kill('SIGKILL'))
  return { child, output, exited: once(child, 'close') as ServiceProcess['exited'] }
}

/** Long enough to initialise a database on a busy machine. */
export const START_MS = 60_000

/** Waits for the three lines that a start prints. Returns these lines, the address and the port. */
export async function waitForStart({ child, output }: ServiceProcess) {
  const lines = /^Concord +(http:\S+)\nAPI docs +.+\nDatabase +.+\n/m
  await until(() => child.exitCode !== null || lines.test(output.stdout), START_MS)
  const [text, address] = lines.exec(output.stdout) ?? []
  if (!text || !address) throw new Error(`the service did not start: ${output.stderr}`)
  return { text, address, port: Number(new URL(address).port) }
}

/** Creates a DATA_DIR that the user postgres can read; the end of the test stops its database and removes it. */
export async function createDataDir(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'concord-data-'))
  await chmod(folder, 0o755)
  t.teardown(async () => {
    const isRunning = (await findPostmasterPort(join(folder, 'postgres'))) !== undefined
    if (isRunning) await startPostgres(folder).then(postgres => postgres.stop())
    await rm(folder, { recursive: true })
  })
  return folder
}
