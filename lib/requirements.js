import { isDriverPatched } from './driver.js'

// Stops a process that lacks what an installation brings, before it loads anything else. JavaScript, because a Node
// that is too old cannot load TypeScript: `npm start` imports this file before server.ts.

/** The first version whose HTTP server can be told which upgrades to accept. */
const OLDEST = [24, 9]

const missing = [
  [
    isNodeOld(),
    `Node ${OLDEST.join('.')} or newer is needed and this is ${process.versions.node}: install again without --omit=optional, or install that Node`
  ],
  [
    !isDriverPatched(),
    'the driver `postgres` is not patched, because the install scripts did not run: install again without --ignore-scripts'
  ]
]

const [first] = missing.filter(([isMissing]) => isMissing)
if (first) {
  process.stderr.write(`Concord does not start: ${first[1]}\n`)
  process.exit(1)
}

function isNodeOld() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  return major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])
}
