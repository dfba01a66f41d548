import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** The operating system user that runs PostgreSQL. The object is empty when this is the user that runs the service. */
export interface SystemUser {
  uid?: number
  gid?: number
}

/**
 * Returns the owner of `data` when the service runs as root, because PostgreSQL refuses to run as root. Without `data`,
 * returns the user `postgres`, or undefined when there is none. Throws when root owns `data`.
 */
export async function findSystemUser(data: string): Promise<SystemUser | undefined> {
  if (process.getuid?.() !== 0) return {}
  const owner = await stat(data).catch(() => undefined)
  if (!owner) return findPostgresUser()
  if (owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }
  throw new Error(
    `root owns ${data}, and PostgreSQL does not run as root: chown the folder to another user`
  )
}

/** Creates the system user `postgres`. Throws an error with a one-sentence message when this fails. */
export async function createPostgresUser(): Promise<SystemUser> {
  try {
    await execute('groupadd', ['--force', '--system', 'postgres'])
    await execute('useradd', ['--system', '--gid', 'postgres', '--no-create-home', 'postgres'])
    const user = await findPostgresUser()
    if (user) return user
    throw new Error('useradd created no user postgres')
  } catch (error) {
    throw new Error(
      'PostgreSQL does not run as root, and the user postgres cannot be created: run the service as an ordinary user',
      { cause: error }
    )
  }
}

async function findPostgresUser(): Promise<SystemUser | undefined> {
  const ids = [execute('id', ['-u', 'postgres']), execute('id', ['-g', 'postgres'])]
  const [uid, gid] = await Promise.all(ids).catch(() => [])
  return uid && gid && { uid: Number(uid.stdout), gid: Number(gid.stdout) }
}

/** Throws when `user` cannot enter a folder. Runs `test` as that user: a mode does not show an access control list. */
export async function assertReachable(paths: string[], user: SystemUser): Promise<void> {
  if (user.uid === undefined) return
  const script = 'for folder; do test -x "$folder" || { echo "$folder"; exit; }; done'
  const args = ['-c', script, 'sh', ...paths.flatMap(foldersAbove)]
  const { stdout } = await execute('/bin/sh', args, { ...user, cwd: '/', env: {} })
  if (stdout === '') return
  const folder = stdout.trim()
  throw new Error(
    `the user that runs PostgreSQL (uid ${user.uid}) cannot enter ${folder}: chmod a+x ${folder}, move the service elsewhere, or run it as an ordinary user`
  )
}

// Begins at the root, because the error names the first folder that the user cannot enter.
function foldersAbove(path: string): string[] {
  const folder = dirname(path)
  return folder === path ? [] : [...foldersAbove(folder), folder]
}
