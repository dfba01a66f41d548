import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import type { Test } from 'tap'
import { createCertificate } from './certificate.ts'
import { freePort } from './free-port.ts'
import type { ProxyKind } from './proxy-kinds.ts'
import { until } from './until.ts'

/** The configuration files that docs/deployment.md shows. */
export const proxiesFolder = join(import.meta.dirname, '../../deploy/proxies')

const limits = { startMs: 30_000 }

/** Functions that end the proxies that still run when a timeout ends the test. */
const running = new Set<() => void>()
process.on('exit', () => {
  for (const kill of running) kill()
})

/**
 * Starts a proxy in front of a node with the configuration that the documentation shows, after `change`. Returns its
 * address, and a function that renews its certificate and reloads it.
 */
export async function startProxy(
  t: Test,
  kind: ProxyKind,
  nodeUrl: string,
  change: (config: string) => string = config => config
) {
  const folder = await mkdtemp(join(tmpdir(), 'concord-proxy-'))
  await chmod(folder, 0o755) // workers of nginx run as another user
  const place = {
    folder,
    port: await freePort(),
    httpPort: await freePort(),
    node: new URL(nodeUrl).host
  }
  await createCertificate(folder)
  const file = join(folder, kind.file)
  const shown = await readFile(join(proxiesFolder, kind.file), 'utf8')
  await writeFile(file, replaceEach(change(shown), kind.replacements(place)))

  const child = spawn(kind.program as string, kind.args(file, place), {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, HOME: folder }
  })
  const exited = once(child, 'exit')
  const kill = () => child.kill(kind.end)
  running.add(kill)
  t.teardown(async () => {
    running.delete(kill)
    kill()
    await exited
    await rm(folder, { recursive: true })
  })
  await waitUntilListening(child, place.port)

  return { name: kind.name, url: `https://127.0.0.1:${place.port}`, reload }

  /** Renews the certificate and reloads. Resolves when new connections receive the new certificate. */
  async function reload() {
    const before = await fingerprint(place.port)
    await createCertificate(folder)
    await kind.reload?.(child.pid as number, file, place)
    await until(async () => (await fingerprint(place.port)) !== before)
  }
}

export type RunningProxy = Awaited<ReturnType<typeof startProxy>>

async function waitUntilListening(child: ChildProcess, port: number) {
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', chunk => {
      output += chunk
    })
  }
  await until(async () => child.exitCode !== null || (await fingerprint(port)), limits.startMs)
  if (child.exitCode !== null) throw new Error(`the proxy did not start: ${output}`)
}

/** Returns the fingerprint of the certificate that a server sends. Rejects when none listens. */
async function fingerprint(port: number): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' })
  await once(socket, 'secureConnect')
  const { fingerprint256 } = socket.getPeerCertificate()
  socket.destroy()
  return fingerprint256
}

function replaceEach(text: string, replacements: Record<string, string>): string {
  let replaced = text
  for (const [old, replacement] of Object.entries(replacements)) {
    if (!replaced.includes(old)) throw new Error(`the configuration does not contain ${old}`)
    replaced = replaced.replaceAll(old, replacement)
  }
  return replaced
}
