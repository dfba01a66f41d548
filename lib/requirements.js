import { isDriverPatched } from './driver.js'

// Stops a process that lacks what an installation brings, before it loads anything else. JavaScript, because a Node
// that is too old cannot load TypeScript: `npm start` imports this file before server.ts.

/** The first version whose HTTP server can be told which upgrades to accept. */
const OLDEST = [24, 9]

const missing = await whatIsMissing()
if (missing) {
  process.stderr.write(`Concord does not start: ${missing}\n`)
  process.exit(1)
}

async function whatIsMissing() {
  if (isNodeOld()) {
    return `Node ${OLDEST.join('.')} or newer is needed and this is ${process.versions.node}: install again without --omit=optional and --ignore-scripts, or install that Node`
  }
  if (!(await isLoadable('@node-rs/argon2'))) {
    return `\`@node-rs/argon2\` lacks its package for ${process.platform}-${process.arch}: install again without --omit=optional`
  }
  if (!isDriverPatched()) {
    return 'the driver `postgres` is not patched, because the install scripts did not run: install again without --ignore-scripts'
  }
}

function isNodeOld() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  return major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])
}

function isLoadable(name) {
  return import(name).then(
    () => true,
    () => false
  )
}
