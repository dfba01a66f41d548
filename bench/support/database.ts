import { rm } from 'node:fs/promises'
import { startPostgres } from '../../lib/embedded-postgres/server.ts'
import { createFolder } from './folder.ts'

/** Starts an embedded PostgreSQL in a new folder. `stop()` stops it and deletes the folder. */
export async function startDatabase() {
  const folder = await createFolder()
  const database = await startPostgres(folder)
  return {
    url: database.url,
    folder,
    async stop() {
      await database.stop()
      await rm(folder, { recursive: true })
    }
  }
}
