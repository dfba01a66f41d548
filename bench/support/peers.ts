import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { onEnd } from './ends.ts'
import { type StartedProcess, startProcess } from './process.ts'

const folder = join(import.meta.dirname, '../peers')
const python = join(folder, '.venv/bin/python')

/** Thrown when the packages of the peers cannot be installed here. */
export class PeerMissing extends Error {}

/** Starts a peer of `bench/peers` by its file. Installs the packages of the peers first, unless they are there. */
export async function startPeer(file: string, env: NodeJS.ProcessEnv): Promise<StartedProcess> {
  if (file.endsWith('.py')) installPython()
  else installNode()
  const program = file.endsWith('.py') ? python : process.execPath
  const peer = await startProcess([program, join(folder, file)], env)
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
