import { readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isAlive } from '../../lib/embedded-postgres/postmaster.ts'
import { startPostgres } from '../../lib/embedded-postgres/server.ts'

/** The migrated database that every test clones. */
export const TEMPLATE = 'concord_template'

/** One throw-away cluster a run of tap, whose process is the parent of before, tests and after. */
export const runFolder = join(tmpdir(), `concord-test-${process.ppid}`)

export const urlFile = join(runFolder, 'url')

export async function stopCluster(folder: string): Promise<void> {
  const { stop } = await startPostgres(folder)
  await stop()
  await rm(folder, { recursive: true })
}

/** Clusters of our own runs that were killed before their after.ts. */
export async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = Number(/^concord-test-(\d+)$/.exec(name)?.[1])
    const folder = join(tmpdir(), name)
    const isAbandoned = pid > 0 && (pid === process.ppid || !isAlive(pid))
    if (!isAbandoned) continue
    // Another run may be removing it at this moment.
    const isOurs = await stat(folder).then(
      ({ uid }) => uid === process.getuid?.(),
      () => false
    )
    if (isOurs) await stopCluster(folder).catch(() => {})
  }
}
