import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** Who runs PostgreSQL; empty means whoever runs the service. */
export interface Account {
  uid?: number
  gid?: number
}

/**
 * PostgreSQL refuses to run as root: root runs it as the owner of its data, at first `postgres`.
 * Throws one sentence when that user cannot reach one of `paths`.
 */
export async function accountFor(data: string, paths: string[]): Promise<Account> {
  if (process.getuid?.() !== 0) return {}
  const owner = await stat(data).catch(() => undefined)
  const account = owner ? { uid: owner.uid, gid: owner.gid } : await postgresUser()
  if (account.uid === 0) {
    throw new Error(
      `${data} belongs to root, as whom PostgreSQL does not run: chown it to another user`
    )
  }
  for (const path of paths) await assertReachable(path, account)
  return account
}

async function postgresUser(): Promise<{ uid: number; gid: number }> {
  try {
    await execute('id', ['-u', 'postgres']).catch(createUser)
    const [uid, gid] = await Promise.all([
      execute('id', ['-u', 'postgres']),
      execute('id', ['-g', 'postgres'])
    ])
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
  } catch (error) {
    throw new Error(
      'PostgreSQL does not run as root and the user postgres cannot be made: run the service as an ordinary user',
      { cause: error }
    )
  }
}

async function createUser() {
  await execute('groupadd', ['--force', '--system', 'postgres'])
  await execute('useradd', ['--system', '--gid', 'postgres', '--no-create-home', 'postgres'])
}

/** Asks as that user, which is right for access control lists as well. */
async function assertReachable(path: string, account: { uid: number; gid: number }) {
  const script = 'for folder; do test -x "$folder" || { echo "$folder"; exit; }; done'
  const asked = ['-c', script, 'sh', ...foldersAbove(path)]
  const { stdout } = await execute('/bin/sh', asked, { ...account, cwd: '/', env: {} })
  if (stdout === '') return
  const folder = stdout.trim()
  throw new Error(
    `the user that runs PostgreSQL (uid ${account.uid}) cannot enter ${folder}: chmod a+x ${folder}, move the service elsewhere, or run it as an ordinary user`
  )
}

/** From the root down, so that the first one that is closed is the one to open. */
function foldersAbove(path: string): string[] {
  const folder = dirname(path)
  return folder === path ? [] : [...foldersAbove(folder), folder]
}
