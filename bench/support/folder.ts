import { chmod, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Creates a folder for an embedded database. The caller must delete it. */
export async function createFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'concord-bench-'))
  await chmod(folder, 0o755) // as root, PostgreSQL runs as another user, which needs access
  return folder
}
