import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { applyPatch, parsePatch, reversePatch } from 'diff'

// JavaScript, because npm runs the install script with the Node of the machine, which may be too old for TypeScript.

const file = fileURLToPath(new URL('connection.js', import.meta.resolve('postgres')))
const [patch] = parsePatch(
  readFileSync(new URL('../patches/postgres+3.4.9.patch', import.meta.url), 'utf8')
)

/** Returns whether the installed driver `postgres` contains the patch of `patches/`. */
export function isDriverPatched() {
  return applyPatch(readFileSync(file, 'utf8'), reversePatch(patch)) !== false
}

/** Patches the installed driver unless it is patched. Throws when the patch does not fit its version. */
export function patchDriver() {
  if (isDriverPatched()) return
  const patched = applyPatch(readFileSync(file, 'utf8'), patch)
  if (patched === false) throw new Error('patches/postgres+3.4.9.patch does not fit the driver')
  // Written as a new file, because other installations may share the old one through a hard link.
  writeFileSync(`${file}.patched`, patched)
  renameSync(`${file}.patched`, file)
}
