import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { startPostgres } from '../../lib/embedded-postgres/server.ts'
import { createFolder } from './folder.ts'

/** Starts an embedded PostgreSQL in a new folder. `stop()` stops it and deletes the folder. */
export async function startDatabase() {
  const folder = await createFolder()
  const database = await startPostgres(folder)
  return {
    url: database.url,
    folder,
    pid: await readPostmasterPid(folder),
    async stop() {
      await database.stop()
      await rm(folder, { recursive: true })
    }
  }
}

/** Returns the process id of the PostgreSQL that runs in a folder. */
export async function readPostmasterPid(folder: string): Promise<number> {
  return Number.parseInt(await readFile(join(folder, 'postgres', 'postmaster.pid'), 'utf8'), 10)
}
