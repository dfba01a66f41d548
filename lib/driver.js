import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { applyPatch, parsePatch, reversePatch } from 'diff'

// JavaScript, because npm runs it with the Node of the machine, which may be too old for TypeScript.

const file = fileURLToPath(new URL('connection.js', import.meta.resolve('postgres')))
const [patch] = parsePatch(
  readFileSync(new URL('../patches/postgres+3.4.9.patch', import.meta.url), 'utf8')
)

/** Returns whether the installed driver `postgres` contains the patch of `patches/`. */
export function isDriverPatched() {
  return applyPatch(readFileSync(file, 'utf8'), reversePatch(patch)) !== false
}

/** Patches the installed driver, once. Throws when it is not the version that the patch was made for. */
export function patchDriver() {
  if (isDriverPatched()) return
  const patched = applyPatch(readFileSync(file, 'utf8'), patch)
  if (patched === false) throw new Error('patches/postgres+3.4.9.patch does not fit the driver')
  // A new file: other installations may share the old one by a hard link.
  writeFileSync(`${file}.patched`, patched)
  renameSync(`${file}.patched`, file)
}
