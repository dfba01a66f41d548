import { readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isAlive } from '../../lib/embedded-postgres/postmaster.ts'
import { startPostgres } from '../../lib/embedded-postgres/server.ts'

/** The migrated database that each test copies. */
export const TEMPLATE = 'concord_template'

/** One temporary cluster per run of tap, whose process is the parent of before.ts, the tests and after.ts. */
export const runFolder = join(tmpdir(), `concord-test-${process.ppid}`)

export const urlFile = join(runFolder, 'url')

export async function stopCluster(folder: string): Promise<void> {
  const { stop } = await startPostgres(folder)
  await stop()
  await rm(folder, { recursive: true })
}

/** Stops and removes the clusters of runs that were killed before after.ts. */
export async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = Number(/^concord-test-(\d+)$/.exec(name)?.[1])
    const folder = join(tmpdir(), name)
    const isAbandoned = pid > 0 && (pid === process.ppid || !isAlive(pid))
    if (!isAbandoned) continue
    // Another run of tap may remove the folder at this moment.
    const isOurs = await stat(folder).then(
      ({ uid }) => uid === process.getuid?.(),
      () => false
    )
    if (isOurs) await stopCluster(folder).catch(() => {})
  }
}
