import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { onEnd } from './ends.ts'
import { type StartedProcess, startProcess } from './process.ts'

const folder = join(import.meta.dirname, '../peers')
const python = join(folder, '.venv/bin/python')

/** Thrown when a program or package that a peer needs is not here and cannot be installed. */
export class PeerMissing extends Error {}

/**
 * Starts a peer of `bench/peers` by its file, and returns what `use` makes of it. Installs the packages of the peers
 * first, unless they are there. When that is impossible, prints a sentence and returns an empty list.
 */
export async function withPeer<T>(
  file: string,
  env: NodeJS.ProcessEnv,
  use: (peer: StartedProcess) => T | Promise<T>
): Promise<T[]> {
  try {
    return [await use(await startPeer(file, env))]
  } catch (error) {
    if (!(error instanceof PeerMissing)) throw error
    console.log(`The peer ${file} is skipped, because ${error.message}`)
    return []
  }
}

export async function startPeer(file: string, env: NodeJS.ProcessEnv): Promise<StartedProcess> {
  const isPython = file.endsWith('.py')
  if (isPython) installPython()
  else installNode()
  const peer = await startProcess([isPython ? python : process.execPath, join(folder, file)], env)
  onEnd(peer.stop)
  return peer
}

function installNode() {
  const installed = join(folder, 'node_modules/.package-lock.json')
  if (isNewer(installed, join(folder, 'package-lock.json'))) return
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'])
}

function installPython() {
  const requirements = join(folder, 'requirements.txt')
  const installed = join(folder, '.venv/installed')
  if (isNewer(installed, requirements)) return
  run('python3', ['-m', 'venv', '.venv'])
  run(python, ['-m', 'pip', 'install', '--quiet', '--only-binary', ':all:', '-r', requirements])
  run('touch', [installed])
}

function isNewer(file: string, than: string): boolean {
  return existsSync(file) && statSync(file).mtimeMs >= statSync(than).mtimeMs
}

function run(program: string, args: string[]) {
  const { status } = spawnSync(program, args, { cwd: folder, stdio: ['ignore', 2, 'inherit'] })
  if (status === 0) return
  throw new PeerMissing(`\`${[program, ...args].join(' ')}\` failed in bench/peers`)
}
