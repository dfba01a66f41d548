import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

// This file is JavaScript, because npm runs the install script with the machine's Node, which may be too old for
// TypeScript.

const file = fileURLToPath(new URL('connection.js', import.meta.resolve('postgres')))
const patch = readFileSync(new URL('../patches/postgres+3.4.9.patch', import.meta.url), 'utf8')

/** Returns whether the installed driver `postgres` contains all lines that the patch in `patches/` adds. */
export function isDriverPatched() {
  const driver = readFileSync(file, 'utf8')
  const added = [...patch.matchAll(/^\+(?!\+\+ )(.*)$/gm)]
  return added.every(([, line]) => driver.includes(line))
}

/**
 * Patches the installed driver unless it is already patched. Throws when the patch does not fit the installed version.
 */
export async function patchDriver() {
  if (isDriverPatched()) return
  // Loaded here, because each start of the service loads this file.
  const { applyPatch } = await import('diff')
  const patched = applyPatch(readFileSync(file, 'utf8'), patch)
  if (patched === false) throw new Error('patches/postgres+3.4.9.patch does not fit the driver')
  // Replaces the file instead of overwriting it, because other installations may share it through a hard link.
  writeFileSync(`${file}.patched`, patched)
  renameSync(`${file}.patched`, file)
}
