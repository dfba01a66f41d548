import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createFolder } from './folder.ts'

/** the number of newest lines of the service's log that `log` contains */
const maxLogLines = 1000

/**
 * Starts the service as a separate process with an embedded database in a new folder. `stop()` stops both and deletes
 * the folder. SIGINT and SIGTERM also stop both, then end this process.
 */
export async function startService(env: NodeJS.ProcessEnv = { RATE_LIMIT: 'off' }) {
  const folder = await createFolder()
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', '..', 'server.ts')], {
    cwd: folder,
    env: { PATH: process.env.PATH, DATA_DIR: folder, PORT: '0', LOG_LEVEL: 'error', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    // Without `detached`, Ctrl-C would signal the service too. The SIGTERM of stop() would be its second signal, on
    // which the service exits before PostgreSQL has stopped.
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
  // Reads all output, because a full pipe would block the service.
  createInterface({ input: child.stdout }).on('line', line => {
    const [, address] = /^Concord +(http:\S+)/.exec(line) ?? []
    if (address) resolve(address)
    if (line.startsWith('{')) log.push(line)
    if (log.length > maxLogLines) log.shift()
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
