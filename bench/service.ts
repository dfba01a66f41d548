import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** Lines of the log that are kept, the newest. */
const mostLines = 1000

/**
 * Starts the service as a process of its own, on an embedded database in a new folder. `stop()` stops both and deletes
 * the folder; SIGINT and SIGTERM stop them too, and then end this process.
 */
export async function startService(env: NodeJS.ProcessEnv = { RATE_LIMIT: 'off' }) {
  const folder = await mkdtemp(join(tmpdir(), 'concord-bench-'))
  await chmod(folder, 0o755) // the user that PostgreSQL runs as has to get through
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', 'server.ts')], {
    cwd: folder,
    env: { PATH: process.env.PATH, DATA_DIR: folder, PORT: '0', LOG_LEVEL: 'error', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    // Ctrl-C would reach it as well: the SIGTERM of stop() were the second signal, which ends it without PostgreSQL.
    detached: true
  })
  const closed = once(child, 'close')
  let stopping: Promise<void> | undefined
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143]
  ] as const) {
    process.once(signal, () => stop().finally(() => process.exit(code)))
  }

  const { promise: started, resolve } = Promise.withResolvers<string>()
  const log: string[] = []
  // Read to the end: a full pipe would block the service.
  createInterface({ input: child.stdout }).on('line', line => {
    const [, address] = /^Concord +(http:\S+)/.exec(line) ?? []
    if (address) resolve(address)
    if (line.startsWith('{')) log.push(line)
    if (log.length > mostLines) log.shift()
  })
  const url = await Promise.race([started, closed.then(() => '')])
  if (url === '') {
    await stop()
    throw new Error('the service did not start')
  }
  return { url, pid: child.pid as number, folder, log, stop }

  function stop(): Promise<void> {
    stopping ??= end()
    return stopping
  }

  async function end() {
    child.kill('SIGTERM')
    await closed
    await rm(folder, { recursive: true, force: true })
  }
}
