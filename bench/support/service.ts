import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { onEnd } from './ends.ts'
import { createFolder } from './folder.ts'
import { startProcess } from './process.ts'

const root = join(import.meta.dirname, '../..')

/** The command that `npm start` runs. */
const command = [
  process.execPath,
  '--import',
  join(root, 'lib/requirements.js'),
  join(root, 'server.ts')
]

/**
 * Starts the service as a separate process in a new folder, with an embedded database there unless `env` has a
 * DATABASE_URL. `stop()` stops both and deletes the folder; SIGINT and SIGTERM do the same.
 */
export async function startService(env: NodeJS.ProcessEnv = { RATE_LIMIT: 'off' }) {
  const folder = await createFolder()
  const variables = { DATA_DIR: folder, PORT: '0', LOG_LEVEL: 'error', ...env }
  const service = await startProcess(command, variables, folder)
  let stopping: Promise<void> | undefined
  onEnd(stop)
  return { ...service, folder, stop }

  function stop(): Promise<void> {
    stopping ??= service.stop().then(() => rm(folder, { recursive: true, force: true }))
    return stopping
  }
}
