import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The service as a process of its own, with a database that goes when it stops. */
export async function startService() {
  const folder = await mkdtemp(join(tmpdir(), 'concord-bench-'))
  await chmod(folder, 0o755) // the user that PostgreSQL runs as has to get through
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', 'server.ts')], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      DATA_DIR: folder,
      PORT: '0',
      RATE_LIMIT: 'off',
      LOG_LEVEL: 'error'
    },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  let printed = ''
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    printed += chunk
    if (printed.includes('API docs')) break
  }
  child.stdout.resume() // a log that nobody reads would stop the service
  const [, url = ''] = /Concord +(http:\S+)/.exec(printed) ?? []

  return {
    url,
    pid: child.pid as number,
    async stop() {
      child.kill('SIGTERM')
      await once(child, 'close')
      await rm(folder, { recursive: true })
    }
  }
}
