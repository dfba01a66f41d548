import { chown, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Cluster } from './binaries.ts'
import { isAlive } from './postmaster.ts'
import type { SystemUser } from './system-user.ts'

/** Builds a cluster in a temporary folder and renames it, so that a crash never leaves an incomplete cluster. */
export async function initialise(cluster: Cluster, { uid, gid }: SystemUser): Promise<void> {
  const folder = dirname(cluster.data)
  await removeLeftovers(folder)
  const draft = join(folder, `initdb-${process.pid}`)
  const passwordFile = join(draft, 'password')
  await mkdir(draft, { mode: 0o700 })
  await writeFile(passwordFile, cluster.password, { mode: 0o600 })
  if (uid !== undefined && gid !== undefined) {
    await chown(draft, uid, gid)
    await chown(passwordFile, uid, gid)
  }
  try {
    await cluster.run(cluster.binaries.initdb, [
      ...['-D', join(draft, 'data'), '-U', 'concord', '-A', 'scram-sha-256'],
      ...[`--pwfile=${passwordFile}`, '-E', 'UTF8', '--locale=C'],
      ...['--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
      // The password is random, so that 4,096 iterations, the default, protect it no better. They cost each new
      // connection 6 ms of CPU.
      ...['--set', 'scram_iterations=1'],
      ...(cluster.settings.fsync === 'off' ? ['--no-sync'] : [])
    ])
    await rename(join(draft, 'data'), cluster.data).catch(ignoreExisting)
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

// Another process may have created the cluster in the meantime.
function ignoreExisting(error: NodeJS.ErrnoException) {
  if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
}

async function removeLeftovers(folder: string) {
  for (const name of await readdir(folder)) {
    const pid = Number(/^initdb-(\d+)$/.exec(name)?.[1])
    if (pid === process.pid || (pid && !isAlive(pid))) {
      await rm(join(folder, name), { recursive: true, force: true })
    }
  }
}
