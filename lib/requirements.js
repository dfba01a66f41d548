import module from 'node:module'
import { join } from 'node:path'

// Checks the installation. When a part is missing, prints one sentence and exits with code 1. `npm start` imports this
// file before server.ts. This file is JavaScript, because an old Node cannot load TypeScript.

/** The first version of Node whose http.createServer has the option `shouldUpgradeCallback`. */
const MIN_NODE = [24, 9]

if (isNodeOld()) {
  fail(
    `Node ${MIN_NODE.join('.')} or newer is needed and this is ${process.versions.node}: install again without --omit=optional and --ignore-scripts, or install that Node`
  )
}

// Keeps the compiled code of all modules that are loaded from here on, so that the next start needs half the CPU.
module.enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/concord'))

if (!(await isLoadable('@node-rs/argon2'))) {
  fail(
    `\`@node-rs/argon2\` lacks its package for ${process.platform}-${process.arch}: install again without --omit=optional`
  )
}

const { isDriverPatched } = await import('./driver.js')
if (!isDriverPatched()) {
  fail(
    'the driver `postgres` is not patched, because the install scripts did not run: install again without --ignore-scripts'
  )
}

function fail(sentence) {
  process.stderr.write(`Concord does not start: ${sentence}\n`)
  process.exit(1)
}

function isNodeOld() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  return major < MIN_NODE[0] || (major === MIN_NODE[0] && minor < MIN_NODE[1])
}

function isLoadable(name) {
  return import(name).then(
    () => true,
    () => false
  )
}
